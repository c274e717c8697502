#include "native/embedded/cpu/llama.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>

namespace embedded::cpu {
namespace {

// A multiple of every kernel's rows.
constexpr int kTokensPerPiece = 96;

// What of the second-level cache the input may take, with room for a panel beside it.
size_t InputCacheBytes() {
  const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return bytes > 0 ? static_cast<size_t>(bytes) / 2 : 256 << 10;
}

int PanelMultiple(int size) { return (size + kPanelWidth - 1) / kPanelWidth * kPanelWidth; }
int CeilDivide(int value, int divisor) { return (value + divisor - 1) / divisor; }
void Add(const float* x, int size, float* out) {
  for (int i = 0; i < size; ++i) out[i] += x[i];
}

}  // namespace

Llama::Llama(const ModelConfig& model, const LlamaWeights& weights, const KvMemory& kv_memory, const Kernels& kernels,
             ThreadPool* pool, int max_step_tokens, Communicator* communicator)
    : model_(model),
      weights_(weights),
      kv_memory_(kv_memory),
      kernels_(kernels),
      pool_(pool),
      communicator_(communicator),
      rope_(model),
      attention_(model, kv_memory, kernels),
      input_cache_bytes_(InputCacheBytes()),
      hidden_stride_(PanelMultiple(model.hidden_size)),
      k_column_(PanelMultiple(model.heads * model.head_dim)),
      v_column_(k_column_ + PanelMultiple(model.kv_heads * model.head_dim)),
      qkv_stride_(v_column_ + PanelMultiple(model.kv_heads * model.head_dim)),
      attended_stride_(model.heads * model.head_dim),
      ffn_stride_(PanelMultiple(model.intermediate_size)),
      logits_stride_(PanelMultiple(model.head_rows)) {
  const auto rows_of = [max_step_tokens](int width) {
    return PagedMemory(sizeof(float) * max_step_tokens * width, PageSize::kDefault);
  };
  // Nothing may throw in a step: other ranks would wait for this one.
  places_.reserve(static_cast<size_t>(max_step_tokens));
  tiles_.reserve(static_cast<size_t>(max_step_tokens));
  hidden_ = rows_of(hidden_stride_);
  if (communicator != nullptr)
    partial_ =
        PagedMemory(sizeof(float) * (static_cast<size_t>(max_step_tokens) * hidden_stride_ + 1), PageSize::kDefault);
  normed_ = rows_of(hidden_stride_);
  qkv_ = rows_of(qkv_stride_);
  attended_ = rows_of(attended_stride_);
  ffn_ = rows_of(ffn_stride_);
  const auto add_form = [&](const Matrix& matrix) {
    const InputForm* const form = matrix.layout->input;
    if (form == nullptr) return;
    for (const PreparedInput& each : prepared_)
      if (each.form == form) return;
    const size_t row_bytes = form->row_bytes(std::max({hidden_stride_, attended_stride_, ffn_stride_}));
    prepared_.push_back({form, PagedMemory(max_step_tokens * row_bytes, PageSize::kDefault), row_bytes});
  };
  for (const LayerWeights& layer : weights.layers)
    for (const Matrix* matrix : {&layer.q, &layer.k, &layer.v, &layer.dense, &layer.fc, &layer.gate, &layer.proj})
      add_form(*matrix);
  if (model.is_last_stage) add_form(weights.head);
  cosines_ = rows_of(model.head_dim / 2);
  sines_ = rows_of(model.head_dim / 2);
  for (int thread = 0; thread < pool->threads(); ++thread) attention_scratch_.emplace_back(attention_);
}

void Llama::AllowAdapters(int rank, int max_lora_rank, int max_step_tokens) {
  rank_ = rank;
  adapted_.reserve(static_cast<size_t>(max_step_tokens));
  shrunk_stride_ = PanelMultiple(static_cast<int>(kLoraModulesOfInput) * max_lora_rank);
  shrunk_ = PagedMemory(sizeof(float) * static_cast<size_t>(max_step_tokens) * static_cast<size_t>(shrunk_stride_),
                        PageSize::kDefault);
}

bool Llama::Forward(const std::vector<TokenSpan>& spans, const Llama* before, const std::atomic<bool>& abandon) {
  abandon_ = &abandon;
  is_abandoned_ = false;
  Place(spans);
  if (before == nullptr)
    Embed(spans);
  else
    std::copy_n(before->hidden_.floats(), static_cast<size_t>(tokens_) * hidden_stride_, hidden_.floats());
  for (int i = 0; i < model_.layers; ++i) {
    if (communicator_ != nullptr ? is_abandoned_ : abandon.load()) return false;
    const LayerWeights& layer = weights_.layers[static_cast<size_t>(i)];
    // hidden += attention(norm(hidden)) * dense^T
    Normalize(layer.input_norm);
    Record(i, Normed(tokens_), model_.hidden_size, &InputMaxima::qkv);
    Shrink(Normed(tokens_), i, LoraInput::kQkv);
    Multiply(Normed(tokens_), {&layer.q, &layer.k, &layer.v},
             {qkv_.floats(), qkv_.floats() + k_column_, qkv_.floats() + v_column_}, Store::kReplace, qkv_stride_);
    FinishHeads(i);
    Attend(spans, i);
    const Input attended{attended_.floats(), static_cast<size_t>(attended_stride_), tokens_};
    Record(i, attended, layer.dense.depth, &InputMaxima::dense);
    Shrink(attended, i, LoraInput::kDense);
    AddToHidden(attended, layer.dense, layer.dense_bias);
    // hidden += silu(norm(hidden) * fc^T) * (norm(hidden) * gate^T) * proj^T
    Normalize(layer.post_norm);
    Record(i, Normed(tokens_), model_.hidden_size, &InputMaxima::fc);
    Shrink(Normed(tokens_), i, LoraInput::kFcGate);
    GatedUp(layer);
    const Input gated{ffn_.floats(), static_cast<size_t>(ffn_stride_), tokens_};
    Record(i, gated, layer.proj.depth, &InputMaxima::proj);
    Shrink(gated, i, LoraInput::kProj);
    AddToHidden(gated, layer.proj, layer.proj_bias);
  }
  adapted_.clear();
  return true;
}

void Llama::AddToHidden(const Input& input, const Matrix& matrix, const std::vector<float>& bias) {
  if (communicator_ == nullptr) {
    Multiply(input, {&matrix}, {hidden_.floats()}, Store::kAdd, hidden_stride_);
    AddBias(bias, hidden_.floats());
    return;
  }
  float* const partial = partial_.floats();
  Multiply(input, {&matrix}, {partial}, Store::kReplace, hidden_stride_);
  AddBias(bias, partial);
  const size_t count = static_cast<size_t>(tokens_) * hidden_stride_;
  partial[count] = *abandon_ ? 1.0f : 0.0f;
  communicator_->AllReduce(partial, count + 1);
  is_abandoned_ = partial[count] != 0;
  pool_->Run(tokens_, [&](int token, int) {
    const size_t at = static_cast<size_t>(token) * hidden_stride_;
    Add(partial + at, hidden_stride_, hidden_.floats() + at);
  });
}

void Llama::Logits(const std::vector<int>& rows, float* out) {
  const int count = static_cast<int>(rows.size());
  for (int i = 0; i < count; ++i)
    kernels_.rms_norm(hidden_.floats() + static_cast<size_t>(rows[i]) * hidden_stride_, weights_.final_norm.data(),
                      model_.norm_epsilon, model_.hidden_size,
                      normed_.floats() + static_cast<size_t>(i) * hidden_stride_);
  Multiply(Normed(count), {&weights_.head}, {out}, Store::kReplace, logits_stride_);
}

void Llama::SumFinal(int first_row, int count, float* out) {
  const auto row_of = [&](float* rows, int row) { return rows + static_cast<size_t>(row) * hidden_stride_; };
  pool_->Run(count, [&](int row, int) {
    kernels_.rms_norm(row_of(hidden_.floats(), first_row + row), weights_.final_norm.data(), model_.norm_epsilon,
                      model_.hidden_size, row_of(normed_.floats(), row));
  });
  pool_->Run(CeilDivide(model_.hidden_size, kPanelWidth), [&](int panel, int) {
    double sums[kPanelWidth] = {};
    const int first = panel * kPanelWidth;
    const int width = std::min(kPanelWidth, model_.hidden_size - first);
    for (int row = 0; row < count; ++row)
      for (int i = 0; i < width; ++i) sums[i] += row_of(normed_.floats(), row)[first + i];
    std::copy_n(sums, width, out + first);
  });
}

void Llama::Embed(const std::vector<TokenSpan>& spans) {
  float* row = hidden_.floats();
  for (const TokenSpan& span : spans)
    for (int i = 0; i < span.count; ++i, row += hidden_stride_) {
      const int token = span.tokens[i] - model_.embedding_first;
      if (token >= 0 && token < model_.embedding_rows())
        weights_.embedding.Row(token, row);
      else
        std::fill_n(row, hidden_stride_, 0.0f);  // another rank has it
    }
  if (model_.parallel_embedding)
    communicator_->AllReduce(hidden_.floats(), static_cast<size_t>(tokens_) * hidden_stride_);
}

void Llama::Place(const std::vector<TokenSpan>& spans) {
  tokens_ = 0;
  places_.clear();
  tiles_.clear();
  adapted_.clear();
  const size_t half = static_cast<size_t>(model_.head_dim) / 2;
  for (size_t s = 0; s < spans.size(); ++s) {
    const TokenSpan& span = spans[s];
    for (int first = 0; first < span.count; first += attention_.queries_per_tile())
      tiles_.push_back(
          {static_cast<int>(s), first, tokens_ + first, std::min(attention_.queries_per_tile(), span.count - first)});
    if (span.adapter != nullptr)
      adapted_.push_back({tokens_, span.count, &(*span.adapter)[static_cast<size_t>(rank_)], nullptr});
    for (int i = 0; i < span.count; ++i, ++tokens_) {
      const int position = span.first_position + i;
      places_.push_back({span.block_table[position / kTokensPerBlock], position % kTokensPerBlock});
      rope_.Angles(position, span.prompt_tokens, cosines_.floats() + tokens_ * half, sines_.floats() + tokens_ * half);
    }
  }
}

void Llama::Normalize(const std::vector<float>& weight) {
  pool_->Run(tokens_, [&](int token, int) {
    const size_t at = static_cast<size_t>(token) * hidden_stride_;
    kernels_.rms_norm(hidden_.floats() + at, weight.data(), model_.norm_epsilon, model_.hidden_size,
                      normed_.floats() + at);
  });
}

void Llama::AddBias(const std::vector<float>& bias, float* out) {
  if (bias.empty()) return;
  pool_->Run(tokens_, [&](int token, int) {
    Add(bias.data(), model_.hidden_size, out + static_cast<size_t>(token) * hidden_stride_);
  });
}

void Llama::FinishHeads(int layer) {
  const LayerWeights& weights = weights_.layers[static_cast<size_t>(layer)];
  const bool has_rope = model_.HasRope(layer);
  pool_->Run(tokens_, [&](int token, int) {
    const size_t half = static_cast<size_t>(model_.head_dim) / 2;
    const float* cos = cosines_.floats() + token * half;
    const float* sin = sines_.floats() + token * half;
    float* head = qkv_.floats() + static_cast<size_t>(token) * qkv_stride_;
    float* key = head + k_column_;
    float* value = head + v_column_;
    const int q_size = model_.heads * model_.head_dim;
    const int kv_size = model_.kv_heads * model_.head_dim;
    if (!weights.qkv_bias.empty()) {
      const float* bias = weights.qkv_bias.data();
      Add(bias, q_size, head);
      Add(bias + q_size, kv_size, key);
      Add(bias + q_size + kv_size, kv_size, value);
    }
    const auto finish = [&](int heads, const std::vector<float>& norm, float* first) {
      for (float* each = first; each < first + heads * model_.head_dim; each += model_.head_dim) {
        if (!norm.empty()) kernels_.rms_norm(each, norm.data(), model_.norm_epsilon, model_.head_dim, each);
        if (has_rope) rope_.Rotate(cos, sin, each);
      }
    };
    finish(model_.heads, weights.q_norm, head);
    finish(model_.kv_heads, weights.k_norm, key);

    const TokenPlace place = places_[static_cast<size_t>(token)];
    for (int h = 0; h < model_.kv_heads; ++h, key += model_.head_dim, value += model_.head_dim)
      kv_memory_.Write(place.block, place.slot, layer, h, key, value);
  });
}

void Llama::Attend(const std::vector<TokenSpan>& spans, int layer) {
  const int group_width = model_.heads / model_.kv_heads * model_.head_dim;
  const std::optional<int> window = model_.WindowOf(layer);
  pool_->Run(static_cast<int>(tiles_.size()) * model_.kv_heads, [&](int piece, int thread) {
    // The longest walks, those of the last queries, start first.
    const Tile& tile = tiles_[tiles_.size() - 1 - static_cast<size_t>(piece / model_.kv_heads)];
    const int kv_head = piece % model_.kv_heads;
    const TokenSpan& span = spans[static_cast<size_t>(tile.span)];
    const size_t token = static_cast<size_t>(tile.first_token);
    attention_.Compute(
        {qkv_.floats() + token * qkv_stride_ + kv_head * group_width, static_cast<size_t>(qkv_stride_),
         attended_.floats() + token * attended_stride_ + kv_head * group_width, static_cast<size_t>(attended_stride_),
         tile.queries, span.first_position + tile.first_query, span.block_table, layer, kv_head, window},
        &attention_scratch_[static_cast<size_t>(thread)]);
  });
}

void Llama::GatedUp(const LayerWeights& layer) {
  const int panels = layer.fc.panels();
  const Input normed = Normed(tokens_);
  Prepare(normed, {&layer.fc, &layer.gate});
  RunPieces(normed, layer.fc, panels, [&](int panel, size_t first_token, int rows) {
    float fc[kTokensPerPiece * kPanelWidth];
    float gate[kTokensPerPiece * kPanelWidth];
    MultiplyPanel(normed, first_token, rows, layer.fc, panel, Store::kReplace, fc, kPanelWidth);
    MultiplyPanel(normed, first_token, rows, layer.gate, panel, Store::kReplace, gate, kPanelWidth);
    AddAdapters(0, panel, first_token, rows, fc, kPanelWidth);
    AddAdapters(1, panel, first_token, rows, gate, kPanelWidth);
    if (!layer.fc_bias.empty())
      for (int row = 0; row < rows; ++row) {
        Add(layer.fc_bias.data() + panel * kPanelWidth, kPanelWidth, fc + row * kPanelWidth);
        Add(layer.gate_bias.data() + panel * kPanelWidth, kPanelWidth, gate + row * kPanelWidth);
      }
    for (int row = 0; row < rows; ++row)
      kernels_.silu_multiply(fc + row * kPanelWidth, gate + row * kPanelWidth, kPanelWidth,
                             ffn_.floats() + (first_token + row) * ffn_stride_ + panel * kPanelWidth);
  });
}

Llama::Input Llama::Normed(int tokens) const { return {normed_.floats(), static_cast<size_t>(hidden_stride_), tokens}; }

void Llama::Record(int layer, const Input& input, int width, float InputMaxima::*maximum) {
  if (input_maxima_ == nullptr) return;
  float& most = (*input_maxima_)[static_cast<size_t>(layer)].*maximum;
  for (int token = 0; token < input.tokens; ++token) {
    const float* const row = input.floats + token * input.stride;
    for (int i = 0; i < width; ++i)
      if (std::fabs(row[i]) > most || std::isnan(row[i])) most = std::fabs(row[i]);
  }
}

void Llama::Shrink(const Input& input, int layer, LoraInput which) {
  int pieces = 0;
  const auto pieces_of = [](const AdaptedTokens& tokens) {
    return tokens.group == nullptr ? 0 : CeilDivide(tokens.count, kTokensPerPiece) * tokens.group->panels();
  };
  for (AdaptedTokens& tokens : adapted_) {
    const LoraGroup& group = tokens.adapter->at(layer, which);
    tokens.group = group.rank > 0 ? &group : nullptr;
    pieces += pieces_of(tokens);
  }
  if (pieces == 0) return;
  pool_->Run(pieces, [&](int piece, int) {
    const AdaptedTokens* tokens = adapted_.data();
    for (; piece >= pieces_of(*tokens); ++tokens) piece -= pieces_of(*tokens);
    const LoraGroup& group = *tokens->group;
    const int column = piece % group.panels() * kPanelWidth;
    const int first = piece / group.panels() * kTokensPerPiece;
    const size_t token = static_cast<size_t>(tokens->first + first);
    MultiplyFloats({input.floats + token * input.stride, input.stride, group.down.data() + column,
                    static_cast<size_t>(group.rank), shrunk_.floats() + token * shrunk_stride_ + column,
                    static_cast<size_t>(shrunk_stride_), std::min(kTokensPerPiece, tokens->count - first), group.inputs,
                    /*add_to_out=*/false});
  });
}

void Llama::AddAdapters(size_t module, int panel, size_t first_token, int rows, float* out, size_t out_stride) const {
  for (const AdaptedTokens& tokens : adapted_) {
    if (tokens.group == nullptr) continue;
    const LoraUp& up = tokens.group->modules[module];
    const size_t first = std::max(first_token, static_cast<size_t>(tokens.first));
    const size_t end = std::min(first_token + rows, static_cast<size_t>(tokens.first + tokens.count));
    if (up.rank == 0 || first >= end) continue;
    MultiplyFloats({shrunk_.floats() + first * shrunk_stride_ + up.first, static_cast<size_t>(shrunk_stride_),
                    up.values.data() + static_cast<size_t>(panel) * kPanelWidth, up.stride,
                    out + (first - first_token) * out_stride, out_stride, static_cast<int>(end - first), up.rank,
                    /*add_to_out=*/true});
  }
}

// In the order of additions that matrices of floats have (FloatLayout).
void Llama::MultiplyFloats(const PanelProduct& product) const {
  const auto* const panel = static_cast<const float*>(product.panel);
  for (int depth = 0; depth < product.depth; depth += kDepthPerSum) {
    PanelProduct part = product;
    part.x += depth;
    part.panel = panel + static_cast<size_t>(depth) * product.panel_stride;
    part.depth = std::min(kDepthPerSum, product.depth - depth);
    part.add_to_out = product.add_to_out || depth > 0;
    kernels_.panel_product(PanelType::kFloat32, part);
  }
}

void Llama::Prepare(const Input& input, std::initializer_list<const Matrix*> matrices) {
  for (const PreparedInput& prepared : prepared_) {
    const Matrix* const* const wants = std::find_if(
        matrices.begin(), matrices.end(), [&](const Matrix* each) { return each->layout->input == prepared.form; });
    if (wants == matrices.end()) continue;
    const int depth = (*wants)->depth;
    pool_->Run(input.tokens, [&](int token, int) {
      prepared.form->prepare(input.floats + token * input.stride, depth,
                             static_cast<std::byte*>(prepared.rows.data()) + token * prepared.row_bytes);
    });
  }
}

template <typename Body>
void Llama::RunPieces(const Input& input, const Matrix& matrix, int panels, const Body& body) {
  const size_t row_bytes =
      matrix.layout->input != nullptr ? matrix.layout->input->row_bytes(matrix.depth) : matrix.depth * sizeof(float);
  const int group_tokens =
      std::max(1, static_cast<int>(input_cache_bytes_ / row_bytes) / kTokensPerPiece) * kTokensPerPiece;
  const int group_pieces = group_tokens / kTokensPerPiece * panels;
  pool_->Run(CeilDivide(input.tokens, kTokensPerPiece) * panels, [&](int piece, int) {
    const int group_token = piece / group_pieces * group_tokens;
    const int pieces_by_panel = CeilDivide(std::min(group_tokens, input.tokens - group_token), kTokensPerPiece);
    const int first_token = group_token + piece % group_pieces % pieces_by_panel * kTokensPerPiece;
    body(piece % group_pieces / pieces_by_panel, static_cast<size_t>(first_token),
         std::min(kTokensPerPiece, input.tokens - first_token));
  });
}

void Llama::Multiply(const Input& input, std::initializer_list<const Matrix*> matrices,
                     std::initializer_list<float*> outs, Store store, size_t out_stride) {
  Prepare(input, matrices);
  int panels = 0;
  for (const Matrix* matrix : matrices) panels += matrix->panels();
  RunPieces(input, **matrices.begin(), panels, [&](int panel, size_t first_token, int rows) {
    size_t i = 0;
    for (; panel >= matrices.begin()[i]->panels(); ++i) panel -= matrices.begin()[i]->panels();
    float* const out = outs.begin()[i] + first_token * out_stride + static_cast<size_t>(panel) * kPanelWidth;
    MultiplyPanel(input, first_token, rows, *matrices.begin()[i], panel, store, out, out_stride);
    AddAdapters(i, panel, first_token, rows, out, out_stride);
  });
}

void Llama::MultiplyPanel(const Input& input, size_t first_token, int rows, const Matrix& matrix, int panel,
                          Store store, float* out, size_t out_stride) const {
  LayoutProduct product{input.floats + first_token * input.stride,
                        input.stride * sizeof(float),
                        matrix.panel(panel),
                        out,
                        out_stride,
                        rows,
                        matrix.depth,
                        store == Store::kAdd};
  for (const PreparedInput& prepared : prepared_)
    if (prepared.form == matrix.layout->input) {
      product.x = static_cast<const std::byte*>(prepared.rows.data()) + first_token * prepared.row_bytes;
      product.x_stride = prepared.row_bytes;
    }
  matrix.layout->product(product);
}

}  // namespace embedded::cpu
