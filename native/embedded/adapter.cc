#include "native/embedded/adapter.h"

#include <cstring>
#include <optional>
#include <string>

#include "native/embedded/checkpoint/rank_model.h"
#include "native/executor/cpp/failure.h"

namespace embedded {
namespace {

// By the numbers of TensorRT-LLM's module types, from 0.
constexpr struct {
  const char* name;
  std::optional<LoraModule> module;
} kModules[] = {{"attn_qkv", std::nullopt},         {"attn_q", LoraModule::kQuery},
                {"attn_k", LoraModule::kKey},       {"attn_v", LoraModule::kValue},
                {"attn_dense", LoraModule::kDense}, {"mlp_h_to_4h", LoraModule::kFc},
                {"mlp_4h_to_h", LoraModule::kProj}, {"mlp_gate", LoraModule::kGate}};
constexpr char kModuleNames[] = "attn_q, attn_k, attn_v, attn_dense, mlp_h_to_4h, mlp_4h_to_h and mlp_gate";

constexpr int kConfigColumns = 3;      // module, layer, rank
constexpr int kDoraConfigColumns = 4;  // and whether there is a magnitude vector

LoraPart WholeOf(LoraModule module, const ModelConfig& model) {
  const int attended = model.heads * model.head_dim;
  const int keys = model.kv_heads * model.head_dim;
  switch (module) {
    case LoraModule::kQuery:
      return {model.hidden_size, attended};
    case LoraModule::kKey:
    case LoraModule::kValue:
      return {model.hidden_size, keys};
    case LoraModule::kDense:
      return {attended, model.hidden_size};
    case LoraModule::kFc:
    case LoraModule::kGate:
      return {model.hidden_size, model.intermediate_size};
    case LoraModule::kProj:
      break;
  }
  return {model.intermediate_size, model.hidden_size};
}

[[noreturn]] void Refuse(ExecutorCode code, const std::string& field, const std::string& rest) {
  throw executor::Failure(code, field + rest).About("lora");
}

std::string ShapeOf(const ExecutorTensor& tensor) {
  std::string text;
  for (uint32_t i = 0; i < tensor.rank; ++i) text += (i == 0 ? "" : " x ") + std::to_string(tensor.shape[i]);
  return text;
}

WeightType TypeOf(const ExecutorTensor& weights) {
  switch (weights.data_type) {
    case DATA_TYPE_FLOAT32:
      return WeightType::kFloat32;
    case DATA_TYPE_FLOAT16:
      return WeightType::kFloat16;
    case DATA_TYPE_BFLOAT16:
      return WeightType::kBfloat16;
    default:
      Refuse(EXECUTOR_INVALID_INPUT, "lora.weights",
             " has another data type; expected 'float32', 'float16' or 'bfloat16'. Convert the adapter.");
  }
}

// One row of the two tensors.
struct Row {
  LoraModule module;
  int layer;
  int rank;
};

class Reader {
 public:
  Reader(const ExecutorLora& given, const ModelConfig& model, int max_rank)
      : given_(given), weights_(*given.weights), config_(*given.config), model_(model), max_rank_(max_rank) {}

  std::shared_ptr<Adapter> Read() {
    CheckTensors();
    auto adapter = std::make_shared<Adapter>();
    adapter->id = given_.id;
    adapter->type = TypeOf(weights_);
    adapter->layers.resize(static_cast<size_t>(model_.layers));
    const size_t element_bytes = static_cast<size_t>(BlockOf(adapter->type).bytes);
    std::vector<Row> rows;
    for (int64_t i = 0; i < config_.shape[0]; ++i) {
      rows.push_back(RowAt(i));
      adapter->values += ValuesOf(rows.back());
    }
    adapter->bytes.resize(adapter->values * element_bytes);
    const auto* from = static_cast<const std::byte*>(weights_.data);
    std::byte* to = adapter->bytes.data();
    for (size_t i = 0; i < rows.size(); ++i) {
      const Row& row = rows[i];
      LoraMatrices& matrices = adapter->layers[static_cast<size_t>(row.layer)][static_cast<size_t>(row.module)];
      if (matrices.rank > 0)
        Refuse(EXECUTOR_INVALID_INPUT, At(i), " names a module and layer for the second time; expected each once.");
      const size_t inputs = static_cast<size_t>(WholeOf(row.module, model_).inputs);
      matrices = {row.rank, to, to + static_cast<size_t>(row.rank) * inputs * element_bytes};
      const size_t row_bytes = ValuesOf(row) * element_bytes;
      std::memcpy(to, from + i * static_cast<size_t>(weights_.shape[1]) * element_bytes, row_bytes);
      to += row_bytes;
    }
    return adapter;
  }

 private:
  static std::string At(size_t row) { return "lora.config[" + std::to_string(row) + "]"; }

  void CheckTensors() const {
    const bool is_table = config_.rank == 2 && config_.data_type == DATA_TYPE_INT32 && config_.shape[0] > 0 &&
                          (config_.shape[1] == kConfigColumns || config_.shape[1] == kDoraConfigColumns);
    if (!is_table)
      Refuse(EXECUTOR_INVALID_INPUT, "lora.config",
             " has the shape " + ShapeOf(config_) +
                 "; expected 'int32' of [modules and layers, 3 or 4]. Read the adapter with llm.readAdapter().");
    if (weights_.rank != 2 || weights_.shape[0] != config_.shape[0])
      Refuse(EXECUTOR_INVALID_INPUT, "lora.weights",
             " has the shape " + ShapeOf(weights_) + "; expected [" + std::to_string(config_.shape[0]) +
                 ", values], a row for each of lora.config. Read the adapter with llm.readAdapter().");
  }

  Row RowAt(int64_t index) const {
    const int64_t columns = config_.shape[1];
    const int32_t* const row = static_cast<const int32_t*>(config_.data) + index * columns;
    const std::string at = At(static_cast<size_t>(index));
    const auto found = [](int32_t value) { return std::to_string(value); };
    const bool is_known = row[0] >= 0 && static_cast<size_t>(row[0]) < std::size(kModules);
    if (!is_known || !kModules[row[0]].module)
      Refuse(EXECUTOR_UNSUPPORTED, at,
             " has the module " + (is_known ? std::string(kModules[row[0]].name) : found(row[0])) + "; expected " +
                 kModuleNames + ", which the embedded executor runs. Train the adapter for those.");
    if (columns == kDoraConfigColumns && row[3] != 0)
      Refuse(EXECUTOR_UNSUPPORTED, at,
             " has a DoRA magnitude; expected none, because the embedded executor runs plain LoRA. Train the adapter "
             "without use_dora.");
    if (row[1] < 0 || row[1] >= model_.layers)
      Refuse(EXECUTOR_INVALID_INPUT, at,
             " has the layer " + found(row[1]) + "; expected 0 to " + std::to_string(model_.layers - 1) +
                 ", the model's. Use an adapter of this model.");
    if (row[2] < 1 || row[2] > max_rank_)
      Refuse(EXECUTOR_INVALID_INPUT, at,
             " has the rank " + found(row[2]) + "; expected 1 to " + std::to_string(max_rank_) +
                 ". Load the engine with a larger peftCache.maxAdapterSize.");
    const Row read{*kModules[row[0]].module, row[1], row[2]};
    if (const size_t values = ValuesOf(read); static_cast<size_t>(weights_.shape[1]) < values)
      Refuse(EXECUTOR_INVALID_INPUT, "lora.weights",
             " has rows of " + std::to_string(weights_.shape[1]) + " values; expected at least " +
                 std::to_string(values) + " for " + at + ", by the model's shape. Use an adapter of this model.");
    return read;
  }

  size_t ValuesOf(const Row& row) const {
    const LoraPart whole = WholeOf(row.module, model_);
    return static_cast<size_t>(row.rank) * (static_cast<size_t>(whole.inputs) + static_cast<size_t>(whole.outputs));
  }

  const ExecutorLora& given_;
  const ExecutorTensor& weights_;
  const ExecutorTensor& config_;
  const ModelConfig& model_;
  int max_rank_;
};

}  // namespace

bool Adapter::IsEqual(const Adapter& other) const {
  if (type != other.type || bytes != other.bytes) return false;
  for (size_t layer = 0; layer < layers.size(); ++layer)
    for (size_t module = 0; module < kLoraModules; ++module) {
      const LoraMatrices &one = layers[layer][module], &two = other.layers[layer][module];
      if (one.rank != two.rank || (one.rank > 0 && one.a - bytes.data() != two.a - other.bytes.data())) return false;
    }
  return true;
}

LoraPart LoraPartOf(LoraModule module, const ModelConfig& whole, int rank) {
  const ModelConfig model = RankModel(whole, rank);
  LoraPart part = WholeOf(module, model);
  part.all_inputs = WholeOf(module, whole).inputs;
  const int tp_rank = rank % whole.tp_size;
  switch (module) {
    case LoraModule::kKey:
    case LoraModule::kValue:  // ranks that are more than the heads share them
      part.first_output = tp_rank * whole.kv_heads / whole.tp_size * whole.head_dim;
      break;
    case LoraModule::kDense:
    case LoraModule::kProj:
      part.first_input = tp_rank * part.inputs;
      break;
    case LoraModule::kQuery:
    case LoraModule::kFc:
    case LoraModule::kGate:
      part.first_output = tp_rank * part.outputs;
      break;
  }
  return part;
}

std::shared_ptr<Adapter> ReadAdapter(const ExecutorLora& given, const ModelConfig& model, int max_rank) {
  if (given.weights == nullptr && given.config == nullptr) return nullptr;
  if (given.weights == nullptr || given.config == nullptr)
    Refuse(EXECUTOR_INVALID_INPUT, given.weights == nullptr ? "lora.weights" : "lora.config",
           " is missing; expected both or none. Send both, or the id of a cached adapter alone.");
  return Reader(given, model, max_rank).Read();
}

}  // namespace embedded
