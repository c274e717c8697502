#include "native/embedded/cpu/weights.h"

#include <algorithm>
#include <exception>
#include <mutex>

#include "native/embedded/checkpoint/safetensors.h"
#include "native/embedded/cpu/float16.h"
#include "native/embedded/cpu/scaled_tensor.h"
#include "native/embedded/dummy_weights.h"
#include "native/embedded/process_memory.h"
#include "native/executor/cpp/failure.h"

namespace embedded::cpu {
namespace {

constexpr uint64_t kProgressBytes = 32 << 20;  // read between two progress reports

float ToFloat(const std::byte* data, WeightType type, size_t index) {
  if (type == WeightType::kFloat32) return reinterpret_cast<const float*>(data)[index];
  const uint16_t bits = reinterpret_cast<const uint16_t*>(data)[index];
  return type == WeightType::kFloat16 ? Float16ToFloat(bits) : Bfloat16ToFloat(bits);
}

WeightType TypeOf(const ModelConfig& model) {
  if (model.dtype == "float32") return WeightType::kFloat32;
  return model.dtype == "float16" ? WeightType::kFloat16 : WeightType::kBfloat16;
}

// As many dummy weights of `tensor` from `first` on as there are in `floats`.
void WriteDummyWeights(const DummyTensor& tensor, size_t first, WeightType type, std::vector<float>* floats,
                       std::byte* out) {
  if (type == WeightType::kFloat32)
    return FillDummyWeights(tensor, first, floats->size(), reinterpret_cast<float*>(out));
  FillDummyWeights(tensor, first, floats->size(), floats->data());
  auto* const halves = reinterpret_cast<uint16_t*>(out);
  for (size_t i = 0; i < floats->size(); ++i)
    halves[i] = type == WeightType::kFloat16 ? FloatToFloat16((*floats)[i]) : FloatToBfloat16((*floats)[i]);
}

struct MatrixTensor {
  Matrix* matrix;
  const TensorEntry* tensor;  // null: dummy weights
  WeightType type;            // of the tensor
  int first_row;              // likewise, or of the dummy one
  DummyTensor dummy;
  std::optional<ScaledTensor> scaled = std::nullopt;  // in place of the tensor
};

class Loader {
 public:
  Loader(const std::optional<std::string>& path, const ModelConfig& model, const Kernels& kernels, ThreadPool* pool,
         const std::function<bool(double)>& on_progress)
      : model_(model), kernels_(kernels), pool_(pool), on_progress_(on_progress) {
    if (path) file_.emplace(*path);
    if (!path && model.quantization.algo != QuantAlgo::kNone)
      throw executor::OptionFailure(EXECUTOR_UNSUPPORTED, "load_format",
                                    " is 'dummy'; expected 'auto', because the checkpoint is quantized. Remove it, or "
                                    "convert the model without quantization.");
  }

  LlamaWeights Load() {
    LlamaWeights weights;
    weights.layers.resize(static_cast<size_t>(model_.layers));
    Describe(&weights);
    size_t bytes = 0;
    for (const MatrixTensor& each : matrices_) bytes += each.matrix->bytes();
    CheckFits(bytes);
    weights.memory = PagedMemory(bytes, PageSize::kHuge);
    weights.bytes = bytes;
    auto* next = static_cast<std::byte*>(weights.memory.data());
    for (const MatrixTensor& each : matrices_) {
      each.matrix->data = next;
      next += each.matrix->bytes();
    }
    uint64_t read = 0;
    for (MatrixTensor& each : matrices_) {
      const Matrix& matrix = *each.matrix;
      if (each.scaled) each.scaled->Begin();
      const int step = std::max(1, static_cast<int>(kProgressBytes / matrix.panel_bytes()));
      for (int panel = 0; panel < matrix.panels(); panel += step) {
        const int count = std::min(step, matrix.panels() - panel);
        LoadPanels(each, panel, count);
        read += count * matrix.panel_bytes();
        if (!on_progress_(static_cast<double>(read) / static_cast<double>(bytes)))
          throw executor::Failure(EXECUTOR_LOAD_ABORTED, executor::kLoadAbortedMessage);
      }
      if (each.scaled) each.scaled->Done();
    }
    if (model_.tied_head) weights.head = weights.embedding;
    return weights;
  }

 private:
  // Checks every tensor before memory is taken for any.
  void Describe(LlamaWeights* weights) {
    const int hidden = model_.hidden_size;
    if (model_.is_first_stage)
      AddMatrix("transformer.vocab_embedding.weight", model_.embedding_rows(), hidden, &weights->embedding);
    for (int i = 0; i < model_.layers; ++i) {
      LayerWeights& layer = weights->layers[static_cast<size_t>(i)];
      const std::string prefix = "transformer.layers." + std::to_string(i) + ".";
      layer.input_norm = ReadNorm(prefix + "input_layernorm.weight", hidden);
      AddQkv(prefix + "attention.", &layer);
      AddMatrix(prefix + "attention.dense.weight", hidden, model_.heads * model_.head_dim, &layer.dense);
      layer.post_norm = ReadNorm(prefix + "post_layernorm.weight", hidden);
      const int intermediate = model_.intermediate_size;
      const std::string gate = prefix + (model_.fused_fc ? "mlp.fc.weight" : "mlp.gate.weight");
      const int rows = model_.fused_fc ? 2 * intermediate : intermediate;
      AddMatrix(prefix + "mlp.fc.weight", intermediate, hidden, &layer.fc, {rows, rows - intermediate});
      AddMatrix(gate, intermediate, hidden, &layer.gate, {rows, 0});
      AddMatrix(prefix + "mlp.proj.weight", hidden, model_.intermediate_size, &layer.proj);
      if (model_.qkv_bias) layer.qkv_bias = ReadBias(prefix + "attention.qkv.bias", model_.qkv_size());
      if (model_.qk_norm) {
        layer.q_norm = ReadNorm(prefix + "attention.q_layernorm.weight", model_.head_dim);
        layer.k_norm = ReadNorm(prefix + "attention.k_layernorm.weight", model_.head_dim);
      }
      if (model_.dense_bias) layer.dense_bias = ReadBias(prefix + "attention.dense.bias", hidden);
      if (model_.mlp_bias) {
        layer.fc_bias = ReadBias(prefix + "mlp.fc.bias", model_.intermediate_size);
        layer.gate_bias = ReadBias(prefix + "mlp.gate.bias", model_.intermediate_size);
        for (std::vector<float>* const bias : {&layer.fc_bias, &layer.gate_bias})
          bias->resize(static_cast<size_t>(layer.fc.panels()) * kPanelWidth);
        layer.proj_bias = ReadBias(prefix + "mlp.proj.bias", hidden);
      }
    }
    if (!model_.is_last_stage) return;
    weights->final_norm = ReadNorm("transformer.ln_f.weight", hidden);
    if (!model_.tied_head) AddMatrix("lm_head.weight", model_.head_rows, hidden, &weights->head);
  }

  // Where they do not fit at all, the kernel would end the process in the middle of the load.
  void CheckFits(uint64_t bytes) {
    const HostMemory memory = ReadHostMemory();
    if (bytes <= memory.limit) return;
    throw executor::Failure(EXECUTOR_OUT_OF_MEMORY,
                            "The weights need " + std::to_string(bytes) + " bytes; expected at most " +
                                std::to_string(memory.limit) +
                                ", the memory that this process may have. Raise the limit of its container or its "
                                "ulimit, or use a smaller model.");
  }

  enum class Dummy { kNew, kOfTheLast };
  struct RowsOfTensor {
    int rows;
    int first;
    Dummy dummy = Dummy::kNew;  // whether the matrix before it is of the same dummy tensor
  };

  // One tensor, or three whose types may differ.
  void AddQkv(const std::string& prefix, LayerWeights* layer) {
    const int hidden = model_.hidden_size;
    const int q_size = model_.heads * model_.head_dim;
    const int kv_size = model_.kv_heads * model_.head_dim;
    if (file_ && file_->Has(prefix + "q.weight")) {
      AddMatrix(prefix + "q.weight", q_size, hidden, &layer->q);
      AddMatrix(prefix + "k.weight", kv_size, hidden, &layer->k);
      AddMatrix(prefix + "v.weight", kv_size, hidden, &layer->v);
      return;
    }
    const std::string name = prefix + "qkv.weight";
    const int rows = model_.qkv_size();
    AddMatrix(name, q_size, hidden, &layer->q, {rows, 0});
    AddMatrix(name, kv_size, hidden, &layer->k, {rows, q_size, Dummy::kOfTheLast});
    AddMatrix(name, kv_size, hidden, &layer->v, {rows, q_size + kv_size, Dummy::kOfTheLast});
  }

  void AddMatrix(const std::string& name, int outputs, int depth, Matrix* matrix) {
    AddMatrix(name, outputs, depth, matrix, {outputs, 0});
  }

  // `outputs` rows of a tensor that may have more.
  void AddMatrix(const std::string& name, int outputs, int depth, Matrix* matrix, const RowsOfTensor& of) {
    const bool is_in_layer = name.find(".layers.") != std::string::npos;
    if (auto scaled = file_ && is_in_layer ? ScaledTensor::Find(*file_, model_.quantization, name, of.rows, depth)
                                           : std::nullopt) {
      *matrix = {nullptr, &kernels_.layout(scaled->type()), outputs, depth};
      matrices_.push_back({matrix, nullptr, WeightType::kFloat32, of.first, {}, std::move(scaled)});
      return;
    }
    const TensorEntry* tensor = nullptr;
    if (file_)
      tensor = model_.quantization.algo == QuantAlgo::kGgml ? &file_->FindMatrix(name, of.rows, depth)
                                                            : &file_->Find(name, {of.rows, depth});
    const WeightType type = tensor != nullptr ? SafetensorsFile::TypeOf(*tensor) : TypeOf(model_);
    *matrix = {nullptr, &kernels_.layout(type), outputs, depth};
    if (of.dummy == Dummy::kNew) ++tensors_;
    matrices_.push_back({matrix, tensor, type, tensor != nullptr || of.dummy == Dummy::kOfTheLast ? of.first : 0,
                         DummyMatrix(tensors_ - 1, depth)});
  }

  std::vector<float> ReadNorm(const std::string& name, int size) {
    return ReadVector(name, size, DummyNorm(tensors_++));
  }

  std::vector<float> ReadBias(const std::string& name, int size) {
    return ReadVector(name, size, DummyBias(tensors_++));
  }

  std::vector<float> ReadVector(const std::string& name, int size, const DummyTensor& dummy) {
    std::vector<float> values(static_cast<size_t>(size));
    WeightType type = TypeOf(model_);
    std::vector<std::byte> bytes(values.size() * sizeof(float));
    if (file_) {
      const TensorEntry& tensor = file_->Find(name, {size});
      type = SafetensorsFile::TypeOf(tensor);
      file_->Read(tensor, 0, tensor.bytes, bytes.data());
    } else {
      WriteDummyWeights(dummy, 0, type, &values, bytes.data());
    }
    for (size_t i = 0; i < values.size(); ++i) values[i] = ToFloat(bytes.data(), type, i);
    return values;
  }

  void LoadPanels(const MatrixTensor& source, int first, int count) {
    std::mutex mutex;
    std::exception_ptr failure;
    pool_->Run(count, [&](int piece, int) {
      try {
        LoadPanel(source, first + piece);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(mutex);
        failure = std::current_exception();
      }
    });
    if (failure) std::rethrow_exception(failure);
  }

  void LoadPanel(const MatrixTensor& source, int panel) {
    const Matrix& matrix = *source.matrix;
    const int rows = std::min(kPanelWidth, matrix.outputs - panel * kPanelWidth);
    const size_t first_row = static_cast<size_t>(source.first_row) + size_t{kPanelWidth} * panel;
    if (source.scaled)
      return source.scaled->Pack(static_cast<int>(first_row), rows, *matrix.layout, matrix.panel(panel));
    const size_t row_bytes = RowBytes(source.type, matrix.depth);
    std::vector<std::byte> buffer(rows * row_bytes);
    if (source.tensor != nullptr) {
      file_->Read(*source.tensor, first_row * row_bytes, buffer.size(), buffer.data());
    } else {
      std::vector<float> floats(static_cast<size_t>(rows) * matrix.depth);
      WriteDummyWeights(source.dummy, first_row * matrix.depth, source.type, &floats, buffer.data());
    }
    matrix.layout->pack(buffer.data(), rows, matrix.depth, matrix.panel(panel));
  }

  std::optional<SafetensorsFile> file_;
  const ModelConfig& model_;
  const Kernels& kernels_;
  ThreadPool* pool_;
  const std::function<bool(double)>& on_progress_;
  std::vector<MatrixTensor> matrices_;
  uint32_t tensors_ = 0;  // described so far, norms included
};

}  // namespace

void Matrix::Row(int output, float* out) const {
  layout->unpack(panel(output / kPanelWidth), output % kPanelWidth, depth, out);
}

LlamaWeights LoadWeights(const std::optional<std::string>& path, const ModelConfig& model, const Kernels& kernels,
                         ThreadPool* pool, const std::function<bool(double)>& on_progress) {
  return Loader(path, model, kernels, pool, on_progress).Load();
}

}  // namespace embedded::cpu
