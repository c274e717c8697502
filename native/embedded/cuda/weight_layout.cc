#include "native/embedded/cuda/weight_layout.h"

#include <algorithm>
#include <utility>

#include "native/executor/cpp/failure.h"

namespace embedded::cuda {
namespace {

using executor::Failure;

constexpr size_t kAlignment = 256;
constexpr char kUseCpu[] = "Use executor: 'cpu'.";

[[noreturn]] void Unsupported(const std::string& found, const std::string& expected) {
  throw Failure(EXECUTOR_MODEL_UNSUPPORTED,
                found + "; expected " + expected + ", because the CUDA executor needs it. " + kUseCpu);
}

const std::vector<std::string>& PlainTypes() {
  static const std::vector<std::string> types{"F32", "F16", "BF16"};
  return types;
}

class Builder {
 public:
  Builder(const SafetensorsFile* file, const ModelConfig& model, KvType kv_type, LlamaWeights* weights)
      : file_(file), model_(model), kv_type_(kv_type), weights_(*weights) {}

  WeightLayout Build() {
    const int hidden = model_.hidden_size;
    weights_.layers.resize(static_cast<size_t>(model_.layers));
    const std::string embedding = "transformer.vocab_embedding";
    if (model_.is_first_stage)
      AddElements(embedding + ".weight", {model_.embedding_rows(), hidden}, &weights_.embedding);
    for (int i = 0; i < model_.layers; ++i) AddLayer(i);
    if (!model_.is_last_stage) return std::move(layout_);
    AddElements("transformer.ln_f.weight", {hidden}, &weights_.final_norm);
    const std::string head = model_.tied_head ? embedding : "lm_head";
    const int rows = model_.head_rows;
    if (HasBlocks(head, rows, hidden))
      AddPacked(rows, hidden, 1, {{head, rows, 0, rows, 0}}, &weights_.head);
    else if (!model_.tied_head)
      AddElements("lm_head.weight", {rows, hidden}, &weights_.head.data);
    return std::move(layout_);
  }

 private:
  enum class Start { kAligned, kBehindTheLast };

  void AddLayer(int i) {
    LayerWeights& layer = weights_.layers[static_cast<size_t>(i)];
    const std::string prefix = "transformer.layers." + std::to_string(i) + ".";
    const std::string attention = prefix + "attention.";
    const std::string mlp = prefix + "mlp.";
    const int hidden = model_.hidden_size;
    const int intermediate = model_.intermediate_size;
    const int padded = PaddedIntermediate(model_);
    const int qkv = model_.qkv_size();

    ElementsPart& input_norm = AddElements(prefix + "input_layernorm.weight", {hidden}, &layer.input_norm);
    const int heads_distance = FinishesHeads(model_, kv_type_, i) ? 1 : model_.head_dim / 2;
    if (file_ != nullptr && file_->Has(attention + "q.weight")) {
      AddApart(attention, heads_distance, &layer.qkv);
    } else if (IsPacked(attention + "qkv", qkv, hidden)) {
      input_norm.factors = Factors(attention + "qkv", hidden);
      AddPacked(qkv, hidden, heads_distance, {{attention + "qkv", qkv, 0, qkv, 0}}, &layer.qkv);
    } else {
      AddElements(attention + "qkv.weight", {qkv, hidden}, &layer.qkv.data);
    }
    AddMatrix(attention + "dense", hidden, model_.heads * model_.head_dim, &layer.dense);
    ElementsPart& post_norm = AddElements(prefix + "post_layernorm.weight", {hidden}, &layer.post_norm);
    // Of a fused one both are halves of one tensor: gate, then fc.
    const int fc_rows = model_.fused_fc ? 2 * intermediate : intermediate;
    const std::string gate = mlp + (model_.fused_fc ? "fc" : "gate");
    const bool is_packed = IsPacked(mlp + "fc", fc_rows, hidden);
    if (is_packed != IsPacked(gate, fc_rows, hidden))
      Unsupported(mlp + "fc and " + mlp + "gate are one quantized and one not", "both alike");
    if (is_packed) {
      post_norm.factors = Factors(mlp + "fc", hidden);
      CheckSameFactors(post_norm.factors, Factors(gate, hidden), hidden);
      AddPacked(2 * intermediate, hidden, model_.mlp_bias ? 1 : intermediate,
                {{mlp + "fc", fc_rows, model_.fused_fc ? intermediate : 0, intermediate, 0},
                 {gate, fc_rows, 0, intermediate, 0}},
                &layer.fc_gate);
    } else {
      ElementsPart& fc = AddPadded(mlp + "fc.weight", {intermediate, hidden}, {padded, hidden}, &layer.fc_gate.data);
      fc.shape[0] = fc_rows;
      if (model_.fused_fc) fc.first = fc.count;
      ElementsPart& above =
          AddPadded(gate + ".weight", {intermediate, hidden}, {padded, hidden}, nullptr, Start::kBehindTheLast);
      above.shape[0] = fc_rows;
    }
    AddMatrix(mlp + "proj", hidden, intermediate, &layer.proj);
    if (model_.qkv_bias) AddElements(attention + "qkv.bias", {qkv}, &layer.qkv_bias);
    if (model_.qk_norm) {
      AddElements(attention + "q_layernorm.weight", {model_.head_dim}, &layer.q_norm);
      AddElements(attention + "k_layernorm.weight", {model_.head_dim}, &layer.k_norm);
    }
    if (model_.dense_bias) AddElements(attention + "dense.bias", {hidden}, &layer.dense_bias);
    if (model_.mlp_bias) {
      AddPadded(mlp + "fc.bias", {intermediate}, {padded}, &layer.fc_gate_bias);
      AddPadded(mlp + "gate.bias", {intermediate}, {padded}, nullptr, Start::kBehindTheLast);
      AddElements(mlp + "proj.bias", {hidden}, &layer.proj_bias);
    }
  }

  ElementsPart& AddElements(const std::string& name, const std::vector<int64_t>& shape, const void** pointer) {
    return AddPadded(name, shape, shape, pointer);
  }

  // In memory it is `padded`, a vector or a matrix of at least its shape.
  ElementsPart& AddPadded(const std::string& name, const std::vector<int64_t>& shape,
                          const std::vector<int64_t>& padded, const void** pointer, Start start = Start::kAligned) {
    size_t count = 1, elements = 1;
    for (const int64_t size : shape) count *= static_cast<size_t>(size);
    for (const int64_t size : padded) elements *= static_cast<size_t>(size);
    if (start == Start::kAligned) Align();
    const size_t width = static_cast<size_t>(shape.back()), pitch = static_cast<size_t>(padded.back());
    layout_.elements.push_back({name, shape, layout_.bytes, 0, count, width, pitch, pointer, number_++, ""});
    layout_.bytes += elements * kElementBytes;
    return layout_.elements.back();
  }

  void AddMatrix(const std::string& module, int outputs, int depth, MatrixWeights* matrix) {
    const bool padded = depth == model_.intermediate_size;
    if (!IsPacked(module, outputs, depth)) {
      AddPadded(module + ".weight", {outputs, depth}, {outputs, padded ? PaddedIntermediate(model_) : depth},
                &matrix->data);
      return;
    }
    AddPacked(outputs, depth, 1, {{module, outputs, 0, outputs, 0}}, matrix);
    if (const std::string factors = Factors(module, depth); !factors.empty())
      AddElements(factors, {depth}, &matrix->input_factors);
  }

  // Queries, keys and values of three tensors, whose types differ in most files.
  void AddApart(const std::string& attention, int pair_distance, MatrixWeights* matrix) {
    const int q_rows = model_.heads * model_.head_dim;
    const int kv_rows = model_.kv_heads * model_.head_dim;
    const int hidden = model_.hidden_size;
    std::vector<MatrixRows> parts{{attention + "q", q_rows, 0, q_rows, 0},
                                  {attention + "k", kv_rows, 0, kv_rows, 0},
                                  {attention + "v", kv_rows, 0, kv_rows, 0}};
    const auto has_blocks = [&](const MatrixRows& part) { return HasBlocks(part.module, part.rows, hidden); };
    if (std::all_of(parts.begin(), parts.end(), has_blocks))
      return AddPacked(model_.qkv_size(), hidden, pair_distance, std::move(parts), matrix);
    if (std::any_of(parts.begin(), parts.end(), has_blocks))
      Unsupported(attention + "q, k and v are some in blocks and some not", "all alike");
    const void** pointer = &matrix->data;
    for (const MatrixRows& part : parts) {
      AddPadded(part.module + ".weight", {part.rows, hidden}, {part.rows, hidden}, pointer,
                pointer == nullptr ? Start::kBehindTheLast : Start::kAligned);
      pointer = nullptr;
    }
  }

  bool HasBlocks(const std::string& module, int rows, int depth) const {
    return model_.quantization.algo == QuantAlgo::kGgml && file_ != nullptr &&
           file_->FindMatrix(module + ".weight", rows, depth).dtype == "U8";
  }

  // One that holds what all of the types do.
  WeightForm FormOfBlocks(std::vector<MatrixRows>* parts, int depth) const {
    bool is_int8 = false, has_zeros = false, has_groups_of_16 = false;
    for (MatrixRows& part : *parts) {
      part.type = SafetensorsFile::TypeOf(file_->FindMatrix(part.module + ".weight", part.tensor_rows, depth));
      switch (part.type) {
        case WeightType::kQ4_0:
          break;
        case WeightType::kQ4_1:
        case WeightType::kQ4_K:
          has_zeros = true;
          break;
        case WeightType::kQ5_0:
        case WeightType::kQ8_0:
          is_int8 = true;
          break;
        case WeightType::kQ5_1:
        case WeightType::kQ5_K:
          is_int8 = has_zeros = true;
          break;
        case WeightType::kQ6_K:
          is_int8 = has_groups_of_16 = true;
          break;
        default:
          Unsupported(part.module + ".weight is in " + BlockOf(part.type).type,
                      "Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K or Q6_K");
      }
    }
    if (has_groups_of_16) return {Codes::kInt8, has_zeros ? Scales::kGroups16Zeros : Scales::kGroups16};
    return {is_int8 ? Codes::kInt8 : Codes::kInt4, has_zeros ? Scales::kGroups32Zeros : Scales::kGroups32};
  }

  void AddPacked(int outputs, int depth, int pair_distance, std::vector<MatrixRows> parts, MatrixWeights* matrix) {
    const bool same_tensor = parts.size() > 1 && parts[0].module == parts[1].module;
    for (MatrixRows& part : parts) {
      if (file_ != nullptr) FindBeside(part, depth);
      part.number = number_;
      if (!same_tensor) ++number_;
    }
    if (same_tensor) ++number_;
    Align();
    matrix->form = model_.quantization.algo == QuantAlgo::kGgml ? FormOfBlocks(&parts, depth) : Form();
    matrix->form.pair_distance = pair_distance;
    layout_.packed.push_back({outputs, depth, matrix->form, std::move(parts), layout_.bytes, matrix});
    layout_.bytes += layout_.packed.back().bytes();
  }

  void Align() { layout_.bytes = (layout_.bytes + kAlignment - 1) / kAlignment * kAlignment; }

  WeightForm Form() const {
    const Quantization& quantization = model_.quantization;
    switch (quantization.algo) {
      case QuantAlgo::kW8A16:
        return {Codes::kInt8, Scales::kRows};
      case QuantAlgo::kW4A16:
        return {Codes::kInt4, Scales::kRows};
      case QuantAlgo::kW4A16Awq:
        if (quantization.group_size % 128 == 0)
          return {Codes::kInt4, quantization.has_zero_point ? Scales::kGroups128Zeros : Scales::kGroups128};
        return {Codes::kInt4, quantization.has_zero_point ? Scales::kGroups32Zeros : Scales::kGroups32};
      default:
        return {Codes::kFp8, Scales::kRows};
    }
  }

  // Whether the module's matrix is quantized, which its tensor's type tells.
  bool IsPacked(const std::string& module, int rows, int depth) const {
    const std::string name = module + ".weight";
    const QuantAlgo algo = model_.quantization.algo;
    if (algo == QuantAlgo::kNone) return false;
    if (algo == QuantAlgo::kGgml) return HasBlocks(module, rows, depth);
    if (file_ == nullptr) return true;
    if (algo == QuantAlgo::kW8A16 || algo == QuantAlgo::kW4A16) {
      file_->Find(name, {rows, depth});
      return true;
    }
    std::vector<std::string> types = PlainTypes();
    const auto& quantized = QuantizedTypes();
    types.insert(types.end(), quantized.begin(), quantized.end());
    const int64_t packed_rows = algo == QuantAlgo::kW4A16Awq ? rows / 2 : rows;
    const TensorEntry* tensor = nullptr;
    try {
      tensor = &file_->Find(name, {packed_rows, depth}, types);
    } catch (const Failure&) {
      if (packed_rows == rows) throw;
      file_->Find(name, {rows, depth});  // a plain one has twice as many rows
      return false;
    }
    return std::find(quantized.begin(), quantized.end(), tensor->dtype) != quantized.end();
  }

  const std::vector<std::string>& QuantizedTypes() const {
    static const std::vector<std::string> int4{"I8", "U8"}, fp8{"F8_E4M3", "I8", "U8"};
    return model_.quantization.algo == QuantAlgo::kW4A16Awq ? int4 : fp8;
  }

  // What the part's matrix needs beside it.
  void FindBeside(const MatrixRows& part, int depth) const {
    const Quantization& quantization = model_.quantization;
    if (quantization.algo == QuantAlgo::kFp8) FindNumber(*file_, part.module + ".weights_scaling_factor");
    if (quantization.algo == QuantAlgo::kFp8PerChannelPerToken)
      file_->Find(part.module + ".per_channel_scale", {part.tensor_rows});
    if (quantization.algo != QuantAlgo::kW4A16Awq) return;
    const int group = quantization.group_size;
    if (group % 32 != 0 || depth % group != 0)
      Unsupported("The model's group_size is " + std::to_string(group) + " for " + part.module,
                  "a multiple of 32 that divides its " + std::to_string(depth) + " inputs");
    if (part.rows % 2 != 0 || part.first_row % 2 != 0)
      Unsupported(part.module + " has " + std::to_string(part.rows) + " outputs in int4", "an even number");
    const int64_t groups = depth / group;
    file_->Find(part.module + ".weights_scaling_factor", {part.tensor_rows, groups});
    if (quantization.has_zero_point) file_->Find(part.module + ".zero", {groups, part.tensor_rows});
  }

  // The tensor of what the module's input is multiplied by; empty: none.
  std::string Factors(const std::string& module, int depth) const {
    if (!model_.quantization.pre_quant_scale || model_.quantization.algo != QuantAlgo::kW4A16Awq) return "";
    const std::string name = module + ".prequant_scaling_factor";
    if (file_ != nullptr) file_->Find(name, {depth});
    return file_ == nullptr ? "" : name;
  }

  // fc and gate have the same input, whose norm is multiplied once.
  void CheckSameFactors(const std::string& first, const std::string& second, int depth) const {
    if (first.empty() || first == second) return;
    const TensorEntry& a = file_->Find(first, {depth});
    const TensorEntry& b = file_->Find(second, {depth});
    std::vector<std::byte> first_bytes(a.bytes), second_bytes(b.bytes);
    file_->Read(a, 0, a.bytes, first_bytes.data());
    file_->Read(b, 0, b.bytes, second_bytes.data());
    if (first_bytes != second_bytes) Unsupported(first + " and " + second + " differ", "the same factors in both");
  }

  const SafetensorsFile* file_;
  const ModelConfig& model_;
  KvType kv_type_;
  LlamaWeights& weights_;
  WeightLayout layout_;
  uint32_t number_ = 0;
};

}  // namespace

WeightLayout LayOutWeights(const SafetensorsFile* file, const ModelConfig& model, KvType kv_type,
                           LlamaWeights* weights) {
  if (file == nullptr && model.quantization.algo == QuantAlgo::kGgml)
    throw Failure(
        EXECUTOR_MODEL_UNSUPPORTED,
        "quant_algo is GGML; expected another one for dummy weights, because only a file says what blocks there "
        "are. Use loadFormat: 'auto'.");
  WeightLayout layout = Builder(file, model, kv_type, weights).Build();
  if (file != nullptr)
    for (const ElementsPart& part : layout.elements) FindElements(*file, model, part);
  return layout;
}

const TensorEntry& FindElements(const SafetensorsFile& file, const ModelConfig& model, const ElementsPart& part) {
  if (model.quantization.algo != QuantAlgo::kGgml || part.shape.size() < 2) return file.Find(part.name, part.shape);
  return file.FindMatrix(part.name, static_cast<int>(part.shape[0]), static_cast<int>(part.shape[1]));
}

const TensorEntry& FindNumber(const SafetensorsFile& file, const std::string& name) {
  try {
    return file.Find(name, {});
  } catch (const Failure&) {
    return file.Find(name, {1});
  }
}

}  // namespace embedded::cuda
