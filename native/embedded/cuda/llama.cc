#include "native/embedded/cuda/llama.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>

#include "native/embedded/cuda/decode_attention.h"
#include "native/embedded/cuda/dummy_weights.h"
#include "native/embedded/cuda/embedding.h"
#include "native/embedded/cuda/finish_heads.h"
#include "native/embedded/cuda/invariant_attention.h"
#include "native/embedded/cuda/multiply_columns.h"
#include "native/embedded/cuda/plain_attention.h"
#include "native/embedded/cuda/rms_norm.h"
#include "native/embedded/cuda/rope_append.h"
#include "native/embedded/cuda/silu.h"
#include "native/embedded/rope_frequencies.h"

namespace embedded::cuda {
namespace {

// Bytes of each buffer.
struct BufferSizes {
  size_t angles, hidden, normed, queries, ffn, scratch, expanded, shrunk, decode_workspace, prefill_device,
      prefill_pinned;

  BufferSizes(const ModelConfig& model, const KvFormat& kv, const LlamaLimits& limits, const DeviceTraits& traits) {
    const size_t tokens = static_cast<size_t>(limits.max_tokens);
    const size_t hidden_size = static_cast<size_t>(model.hidden_size);
    angles = sizeof(float2) * static_cast<size_t>(limits.max_positions) * static_cast<size_t>(model.head_dim / 2);
    hidden = sizeof(float) * tokens * hidden_size;
    normed = kElementBytes * tokens * hidden_size;
    queries = kElementBytes * tokens * static_cast<size_t>(model.heads * model.head_dim);
    ffn = kElementBytes * tokens * static_cast<size_t>(PaddedIntermediate(model));
    scratch = kElementBytes * tokens * static_cast<size_t>(std::max(model.qkv_size(), 2 * PaddedIntermediate(model)));
    expanded = limits.expanded_bytes;
    shrunk = sizeof(float) * tokens * size_t{kMostLoraModules} * static_cast<size_t>(limits.max_lora_rank);
    if (limits.batch_invariant) {
      decode_workspace = InvariantAttentionWorkspaceBytes(kv.layout, traits);
      prefill_device = prefill_pinned = 0;
      return;
    }
    decode_workspace = DecodeAttentionWorkspaceBytes(kv, model.heads, limits.max_sequences, traits);
    const PrefillLimits prefill = PrefillLimitsOf(limits, kv.layout);
    prefill_device = PrefillAttention::DeviceBytes(kv, model.heads, prefill, traits);
    prefill_pinned = PrefillAttention::PinnedBytes(prefill);
  }

  // Sequences may share kept blocks, and then their tables have more entries together than there are blocks.
  // In 8 bits a sequence of full length is expanded at once, or short ones with as many new tokens as a step has.
  static PrefillLimits PrefillLimitsOf(const LlamaLimits& limits, const KvLayout& kv) {
    return {limits.max_sequences, limits.max_tokens, limits.max_sequences * limits.max_blocks,
            limits.max_blocks + limits.max_tokens / kv.tokens_per_block};
  }
  size_t device_bytes() const {
    return angles + hidden + normed + 2 * queries + ffn + scratch + expanded + shrunk + decode_workspace +
           prefill_device;
  }
};

void* Row(const DeviceBuffer& buffer, int row, int size) {
  return buffer.as<std::byte>() + kElementBytes * static_cast<size_t>(row) * static_cast<size_t>(size);
}

}  // namespace

size_t Llama::DeviceBytes(const ModelConfig& model, const KvFormat& kv, const LlamaLimits& limits,
                          const DeviceTraits& traits) {
  return BufferSizes(model, kv, limits, traits).device_bytes();
}

Llama::Llama(const ModelConfig& model, const LlamaWeights& weights, const KvFormat& kv, void* cache,
             const LinearLayers* linear, const LlamaLimits& limits, RankEnd* end)
    : model_(model),
      weights_(weights),
      kv_(kv),
      cache_(cache),
      linear_(*linear),
      limits_(limits),
      end_(end),
      scale_(1 / std::sqrt(static_cast<float>(model.head_dim))),
      has_decode_attention_(CanDecodeAttention(kv) && !limits.batch_invariant) {
  const BufferSizes sizes(model, kv, limits, CurrentDeviceTraits());
  angles_ = DeviceBuffer(sizes.angles, "rotary positions");
  hidden_ = DeviceBuffer(sizes.hidden, "hidden states");
  normed_ = DeviceBuffer(sizes.normed, "hidden states");
  queries_ = DeviceBuffer(sizes.queries, "queries");
  attended_ = DeviceBuffer(sizes.queries, "what attention gives");
  ffn_ = DeviceBuffer(sizes.ffn, "the feed-forward part");
  scratch_ = DeviceBuffer(sizes.scratch, "matrix products");
  if (sizes.expanded > 0) expanded_ = DeviceBuffer(sizes.expanded, "expanded weights");
  if (sizes.shrunk > 0) shrunk_ = DeviceBuffer(sizes.shrunk, "adapters");
  decode_workspace_ = DeviceBuffer(sizes.decode_workspace, "attention");
  Check(cudaMemset(decode_workspace_.data(), 0, decode_workspace_.bytes()), "clearing attention");
  if (!limits.batch_invariant) {
    prefill_memory_ = DeviceBuffer(sizes.prefill_device, "attention of prompts");
    prefill_pinned_ = PinnedBuffer(sizes.prefill_pinned, "attention of prompts");
    prefill_ =
        std::make_unique<PrefillAttention>(kv, model.heads, scale_, BufferSizes::PrefillLimitsOf(limits, kv.layout),
                                           prefill_memory_.data(), prefill_pinned_.data());
  }
  const std::vector<float2> angles =
      AngleTable(RopeFrequencies(model), static_cast<float>(model.rope_scaling.attention_factor), limits.max_positions);
  Check(cudaMemcpy(angles_.data(), angles.data(), sizes.angles, cudaMemcpyHostToDevice), "copying rotary positions");
  ClearStates();
}

// Padding is computed too, from whatever is there: it must be no NaN that a later addition keeps.
void Llama::ClearStates() {
  for (const DeviceBuffer* buffer : {&hidden_, &normed_, &queries_, &attended_, &ffn_})
    Check(cudaMemset(buffer->data(), 0, buffer->bytes()), "clearing hidden states");
}

void Llama::PlanPrefill(const std::vector<PrefillSequence>& sequences, cudaStream_t stream) {
  if (limits_.batch_invariant) return;
  int longest = 0;
  for (const PrefillSequence& sequence : sequences) longest = std::max(longest, sequence.query_tokens);
  prefill_->Plan(sequences, prefill_->Choose(longest), stream);
}

void Llama::Forward(const LlamaStep& step, cudaStream_t stream) {
  const StepArrays& arrays = step.arrays;
  const int attended_size = model_.heads * model_.head_dim;
  if (model_.is_first_stage)
    GatherEmbeddings({kv_.layout.element, Residual::kFloat32, step.tokens, model_.hidden_size},
                     {arrays.tokens, step.newest, arrays.newest_slots, Embedding(), hidden_.data()}, stream);
  if (step.decode_rows > 0 && has_decode_attention_)
    PlanDecodeAttention(
        {kv_, step.decode_rows, model_.heads, limits_.max_blocks, attended_size, scale_},
        {nullptr, nullptr, nullptr, step.block_table, arrays.context_lengths, nullptr, decode_workspace_.data()},
        stream);
  for (int i = 0; i < model_.layers; ++i) {
    const LayerWeights& layer = weights_.layers[static_cast<size_t>(i)];
    // hidden += attention(norm(hidden)) * dense^T
    RunNormalized(step, Qkv(step, i), layer.input_norm, stream);
    const int q_size = attended_size, kv_size = model_.kv_heads * model_.head_dim;
    AddAdapters(step, i, LoraModule::kQuery, normed_, model_.hidden_size,
                {{q_size, kv_size, kv_size},
                 {0, q_size, q_size + kv_size},
                 model_.qkv_size(),
                 scratch_.data(),
                 LoraCall::Y::kElements},
                stream);
    if (FinishesHeadsApart(step, i))
      FinishHeads({kv_.layout.element, step.tokens, scratch_.data(), layer.qkv_bias, layer.q_norm, layer.k_norm,
                   model_.norm_epsilon, kv_.type},
                  Heads(step, i), stream);
    Attend(step, i, stream);
    MultiplyByFactors(layer.dense, attended_, attended_size, step.tokens, stream);
    linear_.Run(Dense(step, i), scratch(), stream);
    AddAdapters(step, i, LoraModule::kDense, attended_, attended_size, AddedTo(HiddenPart::kAttention), stream);
    FinishAdded(HiddenPart::kAttention, layer.dense_bias, step.tokens, stream);
    // hidden += silu(norm(hidden) * fc^T) * (norm(hidden) * gate^T) * proj^T
    RunNormalized(step, FcGate(step, i), layer.post_norm, stream);
    const int padded = PaddedIntermediate(model_);
    AddAdapters(step, i, LoraModule::kFc, normed_, model_.hidden_size,
                {{model_.intermediate_size, model_.intermediate_size},
                 {0, padded},
                 2 * padded,
                 scratch_.data(),
                 LoraCall::Y::kElements},
                stream);
    if (FinishesGateApart(step))
      SiluMultiply({kv_.layout.element, step.tokens, PaddedIntermediate(model_)},
                   {scratch_.data(), ffn_.data(), layer.fc_gate_bias}, stream);
    MultiplyByFactors(layer.proj, ffn_, PaddedIntermediate(model_), step.tokens, stream);
    linear_.Run(Proj(step, i), scratch(), stream);
    AddAdapters(step, i, LoraModule::kProj, ffn_, padded, AddedTo(HiddenPart::kFeedForward), stream);
    FinishAdded(HiddenPart::kFeedForward, layer.proj_bias, step.tokens, stream);
  }
}

bool Llama::FinishesHeadsApart(const LlamaStep& step, int layer) const {
  return FinishesHeads(model_, kv_.type, layer) || LeavesRoomForAdapters(step);
}

Llama::LoraOutput Llama::AddedTo(HiddenPart which) const {
  float* const to = end_ == nullptr ? hidden_.as<float>() : end_->part(which);
  return {{model_.hidden_size}, {0}, model_.hidden_size, to, LoraCall::Y::kFloats};
}

void Llama::AddAdapters(const LlamaStep& step, int layer, LoraModule first, const DeviceBuffer& x, int x_stride,
                        const LoraOutput& to, cudaStream_t stream) const {
  if (!step.has_adapters()) return;
  LoraCall call{kv_.layout.element,
                step.tokens,
                step.lora,
                layer * static_cast<int>(kLoraModules) + static_cast<int>(first),
                static_cast<int>(to.outputs.size()),
                limits_.max_lora_rank,
                x.data(),
                x_stride,
                shrunk_.as<float>(),
                {},
                {},
                to.stride,
                to.y,
                to.has};
  std::copy(to.outputs.begin(), to.outputs.end(), call.outputs);
  std::copy(to.first_output.begin(), to.first_output.end(), call.first_output);
  AddLora(call, stream);
}

EmbeddingTable Llama::Embedding() const {
  if (model_.parallel_embedding) return end_->Embedding(model_.embedding_rows());
  return {{weights_.embedding}, model_.vocab_size};
}

LinearOutput Llama::Added(HiddenPart which) const {
  if (end_ == nullptr) return HiddenOutput{hidden_.as<float>()};
  return FloatsOutput{end_->part(which)};
}

void Llama::FinishAdded(HiddenPart which, const void* bias, int tokens, cudaStream_t stream) {
  float* const to = end_ == nullptr ? hidden_.as<float>() : end_->part(which);
  if (bias != nullptr) AddBias(kv_.layout.element, tokens, model_.hidden_size, bias, to, stream);
  if (end_ == nullptr) return;
  const size_t count = static_cast<size_t>(tokens) * static_cast<size_t>(model_.hidden_size);
  end_->AddParts(which, hidden_.as<float>(), count, stream);
}

RopeAppendOutput Llama::Heads(const LlamaStep& step, int layer) const {
  const bool has_prefill = step.tokens > step.decode_rows;
  return {queries_.data(),
          kv_.Keys(cache_, layer),
          kv_.Values(cache_, layer),
          model_.HasRope(layer) ? angles_.as<float2>() : nullptr,
          step.arrays.positions,
          has_prefill ? step.arrays.table_rows : nullptr,
          step.block_table,
          limits_.max_blocks,
          model_.heads,
          model_.kv_heads,
          model_.head_dim,
          kv_.layout.tokens_per_block};
}

LinearCall Llama::Over(const MatrixWeights& matrix, int outputs, int depth, int tokens) const {
  return {{kv_.layout.element, outputs, depth, matrix.form}, matrix.data, tokens, {}, {}};
}

LinearCall Llama::Qkv(const LlamaStep& step, int layer) const {
  LinearOutput output = Heads(step, layer);
  if (FinishesHeadsApart(step, layer)) output = ElementsOutput{scratch_.data()};
  LinearCall call =
      Over(weights_.layers[static_cast<size_t>(layer)].qkv, model_.qkv_size(), model_.hidden_size, step.tokens);
  call.output = output;
  return call;
}

LinearCall Llama::Dense(const LlamaStep& step, int layer) const {
  LinearCall call = Over(weights_.layers[static_cast<size_t>(layer)].dense, model_.hidden_size,
                         model_.heads * model_.head_dim, step.tokens);
  call.input = ElementsInput{attended_.data()};
  call.output = Added(HiddenPart::kAttention);
  return call;
}

LinearCall Llama::FcGate(const LlamaStep& step, int layer) const {
  LinearOutput output = SiluOutput{ffn_.data()};
  if (FinishesGateApart(step)) output = ElementsOutput{scratch_.data()};
  LinearCall call = Over(weights_.layers[static_cast<size_t>(layer)].fc_gate, 2 * PaddedIntermediate(model_),
                         model_.hidden_size, step.tokens);
  call.output = output;
  return call;
}

LinearCall Llama::Proj(const LlamaStep& step, int layer) const {
  LinearCall call = Over(weights_.layers[static_cast<size_t>(layer)].proj, model_.hidden_size,
                         PaddedIntermediate(model_), step.tokens);
  call.input = ElementsInput{ffn_.data()};
  call.output = Added(HiddenPart::kFeedForward);
  return call;
}

LinearCall Llama::Head(int count, float* out) const {
  LinearCall call = Over(weights_.head, model_.head_rows, model_.hidden_size, count);
  call.input = ElementsInput{normed_.data()};
  call.output = FloatsOutput{out};
  return call;
}

NormalizedInput Llama::Normalized(const void* norm_weight) const {
  return {hidden_.as<float>(), norm_weight, model_.norm_epsilon};
}

void Llama::Tune(LlamaStep step, const std::vector<int>& sizes, float* logits,
                 std::chrono::steady_clock::time_point deadline, LinearLayers* linear, cudaStream_t stream) {
  if (limits_.batch_invariant) return;  // nothing is chosen by its speed

  constexpr size_t kLeastWeightBytes = size_t{1} << 20;  // below it a launch takes as long as the product
  // Products of zeros run faster than a model's.
  for (const DeviceBuffer* buffer : {&normed_, &attended_, &ffn_})
    FillDummyWeights({0, 0, 1}, kv_.layout.element, buffer->bytes() / kElementBytes, buffer->data(), stream);
  const auto tune = [&](auto call_of_layer, int layers) {
    LinearCall call = call_of_layer(0);
    if (call.shape.weight_bytes() < kLeastWeightBytes) return;
    if (linear->TakeKnown(call) || std::chrono::steady_clock::now() > deadline) return;
    std::vector<const void*> weights;
    for (int layer = 0; layer < layers; ++layer) weights.push_back(call_of_layer(layer).weights);
    linear->Tune(call, weights, scratch(), stream);
  };
  const auto normalized = [&](LinearCall call, const void* norm_weight) {
    call.input = Normalized(norm_weight);
    if (!linear->FusesNorm(call)) call.input = ElementsInput{normed_.data()};
    return call;
  };
  const LayerWeights& first = weights_.layers.front();
  for (const int rows : sizes) {
    step.tokens = step.decode_rows = rows;
    tune([&](int layer) { return normalized(Qkv(step, layer), first.input_norm); }, model_.layers);
    tune([&](int layer) { return Dense(step, layer); }, model_.layers);
    tune([&](int layer) { return normalized(FcGate(step, layer), first.post_norm); }, model_.layers);
    tune([&](int layer) { return Proj(step, layer); }, model_.layers);
    if (model_.is_last_stage) tune([&](int) { return Head(rows, logits); }, 1);
  }
  Check(cudaStreamSynchronize(stream), "measuring kernels");
  ClearStates();
}

void Llama::RunNormalized(const LlamaStep& step, LinearCall call, const void* norm_weight, cudaStream_t stream) {
  call.input = Normalized(norm_weight);
  if (step.has_adapters() || !linear_.FusesNorm(call)) {
    RmsNorm({call.shape.element, Residual::kFloat32, call.tokens, model_.hidden_size, model_.norm_epsilon},
            {hidden_.data(), nullptr, nullptr, norm_weight, normed_.data()}, stream);
    call.input = ElementsInput{normed_.data()};
  }
  linear_.Run(call, scratch(), stream);
}

void Llama::MultiplyByFactors(const MatrixWeights& matrix, const DeviceBuffer& input, int depth, int tokens,
                              cudaStream_t stream) const {
  if (matrix.input_factors != nullptr)
    MultiplyColumns(kv_.layout.element, tokens, depth, matrix.input_factors, input.data(), stream);
}

void Llama::Attend(const LlamaStep& step, int layer, cudaStream_t stream) {
  const int size = model_.heads * model_.head_dim;
  void* const keys = kv_.Keys(cache_, layer);
  void* const values = kv_.Values(cache_, layer);
  const std::optional<int> window = WindowOf(layer);
  if (limits_.batch_invariant) {
    AttendAlike(step, 0, step.decode_rows, nullptr, layer, stream);
    return AttendAlike(step, step.decode_rows, step.tokens - step.decode_rows, step.arrays.table_rows, layer, stream);
  }
  if (step.decode_rows > 0 && has_decode_attention_ && !window)
    DecodeAttention({kv_, step.decode_rows, model_.heads, limits_.max_blocks, size, scale_},
                    {queries_.data(), keys, values, step.block_table, step.arrays.context_lengths, attended_.data(),
                     decode_workspace_.data()},
                    stream);
  else if (step.decode_rows > 0)
    PlainAttention({kv_, step.decode_rows, model_.heads, limits_.max_blocks, size, scale_, window},
                   {queries_.data(), keys, values, step.arrays.positions, nullptr, step.block_table, attended_.data()},
                   stream);
  if (step.tokens > step.decode_rows)
    prefill_->Run(
        {Row(queries_, step.decode_rows, size), size, keys, values, Row(attended_, step.decode_rows, size), window},
        stream);
}

void Llama::AttendAlike(const LlamaStep& step, int first, int rows, const int32_t* table_rows, int layer,
                        cudaStream_t stream) {
  if (rows == 0) return;
  const int size = model_.heads * model_.head_dim;
  const PlainAttentionShape shape{kv_, rows, model_.heads, limits_.max_blocks, size, scale_, WindowOf(layer)};
  const PlainAttentionBuffers buffers{Row(queries_, first, size),
                                      kv_.Keys(cache_, layer),
                                      kv_.Values(cache_, layer),
                                      step.arrays.positions + first,
                                      table_rows == nullptr ? nullptr : table_rows + first,
                                      step.block_table,
                                      Row(attended_, first, size)};
  if (CanInvariantAttention(kv_)) return InvariantAttention(shape, buffers, decode_workspace_.data(), stream);
  PlainAttention(shape, buffers, stream);
}

std::optional<int> Llama::WindowOf(int layer) const {
  const std::optional<int> window = model_.WindowOf(layer);
  return window && *window < limits_.max_positions ? window : std::nullopt;
}

void Llama::Logits(const int32_t* rows, int count, float* out, cudaStream_t stream) {
  RmsNorm({kv_.layout.element, Residual::kFloat32, count, model_.hidden_size, model_.norm_epsilon},
          {hidden_.data(), nullptr, rows, weights_.final_norm, normed_.data()}, stream);
  linear_.Run(Head(count, out), scratch(), stream);
}

void Llama::SumFinal(int tokens, const RowSpan* spans, int count, float* out, cudaStream_t stream) {
  RmsNorm({kv_.layout.element, Residual::kFloat32, tokens, model_.hidden_size, model_.norm_epsilon},
          {hidden_.data(), nullptr, nullptr, weights_.final_norm, normed_.data()}, stream);
  SumRows(kv_.layout.element, count, model_.hidden_size, spans, normed_.data(), out, stream);
}

}  // namespace embedded::cuda
