#include "native/embedded/cuda/weights.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <exception>
#include <thread>

#include "native/embedded/checkpoint/safetensors.h"
#include "native/embedded/cuda/convert.h"
#include "native/embedded/cuda/dummy_weights.h"
#include "native/embedded/cuda/linear.h"
#include "native/executor/cpp/start_thread.h"

namespace embedded::cuda {
namespace {

using executor::Failure;

constexpr size_t kAlignment = 256;
constexpr size_t kChunkElements = size_t{16} << 20;  // 32 MiB: read while the chunk before it is copied
constexpr int kReaders = 4;                          // one thread alone reads from the page cache at half its speed
constexpr size_t kLeastPerReader = size_t{1} << 20;  // bytes

// A tensor of the file and where it goes: rows of the file lie `pitch` apart in memory.
struct Part {
  std::string name;
  std::vector<int64_t> shape;
  size_t offset;  // bytes in LlamaWeights::memory
  size_t first;   // element of the tensor
  size_t count;   // elements
  size_t width;   // elements of a row
  size_t pitch;   // elements
  const void** pointer;
};

struct Layout {
  std::vector<Part> parts;
  size_t bytes = 0;
};

// Where every tensor lies; its pointers are those of `weights`, which gets its layers.
Layout LayOut(const ModelConfig& model, LlamaWeights* weights) {
  Layout layout;
  enum class Start { kAligned, kBehindTheLast };
  // In memory it is `padded`, a vector or a matrix of at least its shape.
  const auto add_padded = [&](const std::string& name, std::vector<int64_t> shape, const std::vector<int64_t>& padded,
                              const void** pointer, Start start = Start::kAligned) {
    size_t count = 1, elements = 1;
    for (const int64_t size : shape) count *= static_cast<size_t>(size);
    for (const int64_t size : padded) elements *= static_cast<size_t>(size);
    if (start == Start::kAligned) layout.bytes = (layout.bytes + kAlignment - 1) / kAlignment * kAlignment;
    const size_t width = static_cast<size_t>(shape.back()), pitch = static_cast<size_t>(padded.back());
    layout.parts.push_back({name, std::move(shape), layout.bytes, 0, count, width, pitch, pointer});
    layout.bytes += elements * kElementBytes;
  };
  const auto add = [&](const std::string& name, const std::vector<int64_t>& shape, const void** pointer) {
    add_padded(name, shape, shape, pointer);
  };
  const int hidden = model.hidden_size;
  const int intermediate = model.intermediate_size;
  const int padded = PaddedIntermediate(model);
  weights->layers.resize(static_cast<size_t>(model.layers));
  add("transformer.vocab_embedding.weight", {model.vocab_size, hidden}, &weights->embedding);
  for (int i = 0; i < model.layers; ++i) {
    LayerWeights& layer = weights->layers[static_cast<size_t>(i)];
    const std::string prefix = "transformer.layers." + std::to_string(i) + ".";
    add(prefix + "input_layernorm.weight", {hidden}, &layer.input_norm);
    add(prefix + "attention.qkv.weight", {model.qkv_size(), hidden}, &layer.qkv);
    add(prefix + "attention.dense.weight", {hidden, model.heads * model.head_dim}, &layer.dense);
    add(prefix + "post_layernorm.weight", {hidden}, &layer.post_norm);
    add_padded(prefix + "mlp.fc.weight", {intermediate, hidden}, {padded, hidden}, &layer.fc_gate);
    add_padded(prefix + "mlp.gate.weight", {intermediate, hidden}, {padded, hidden}, nullptr, Start::kBehindTheLast);
    if (model.fused_fc) {  // both are halves of one tensor: gate, then fc
      Part& gate = layout.parts.back();
      Part& fc = *(layout.parts.end() - 2);
      gate.name = fc.name;
      gate.shape[0] = fc.shape[0] = 2 * int64_t{intermediate};
      fc.first = fc.count;
    }
    add_padded(prefix + "mlp.proj.weight", {hidden, intermediate}, {hidden, padded}, &layer.proj);
    if (model.qkv_bias) add(prefix + "attention.qkv.bias", {model.qkv_size()}, &layer.qkv_bias);
    if (model.qk_norm) {
      add(prefix + "attention.q_layernorm.weight", {model.head_dim}, &layer.q_norm);
      add(prefix + "attention.k_layernorm.weight", {model.head_dim}, &layer.k_norm);
    }
    if (model.dense_bias) add(prefix + "attention.dense.bias", {hidden}, &layer.dense_bias);
    if (model.mlp_bias) {
      add_padded(prefix + "mlp.fc.bias", {intermediate}, {padded}, &layer.fc_gate_bias);
      add_padded(prefix + "mlp.gate.bias", {intermediate}, {padded}, nullptr, Start::kBehindTheLast);
      add(prefix + "mlp.proj.bias", {hidden}, &layer.proj_bias);
    }
  }
  add("transformer.ln_f.weight", {hidden}, &weights->final_norm);
  if (!model.tied_head) add("lm_head.weight", {model.vocab_size, hidden}, &weights->head);
  return layout;
}

// Takes the memory and sets the pointers. What is between the tensors is 0 when the stream gets there.
void Allocate(const Layout& layout, const ModelConfig& model, LlamaWeights* weights, cudaStream_t stream) {
  weights->memory = DeviceBuffer(layout.bytes, "the weights");
  if (PaddedIntermediate(model) != model.intermediate_size)
    Check(cudaMemsetAsync(weights->memory.data(), 0, layout.bytes, stream), "clearing the weights");
  for (const Part& part : layout.parts)
    if (part.pointer != nullptr) *part.pointer = weights->memory.as<std::byte>() + part.offset;
  if (model.tied_head) weights->head = weights->embedding;
}

// Reads with several threads; throws what one of them threw.
void ReadTensor(const SafetensorsFile& file, const TensorEntry& tensor, size_t offset, size_t bytes, void* out) {
  const size_t readers = std::clamp<size_t>(bytes / kLeastPerReader, 1, kReaders);
  const size_t share = (bytes + readers - 1) / readers;
  std::array<std::exception_ptr, kReaders> failures{};
  const auto read = [&](size_t reader) {
    const size_t first = std::min(reader * share, bytes);
    try {
      file.Read(tensor, offset + first, std::min(share, bytes - first), static_cast<std::byte*>(out) + first);
    } catch (...) {
      failures[reader] = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(readers);
  size_t started = 1;
  for (; started < readers; ++started) {
    try {
      threads.push_back(executor::StartThread([&read, started] { read(started); }));
    } catch (const executor::Failure&) {
      break;  // this thread reads the rest
    }
  }
  read(0);
  for (size_t reader = started; reader < readers; ++reader) read(reader);
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

class Loader {
 public:
  Loader(const std::string& path, Element element, cudaStream_t stream)
      : file_(path), element_(element), stream_(stream) {
    for (Slot& slot : slots_) {
      slot.memory = PinnedBuffer(kChunkElements * kElementBytes, "reading the weights");
      slot.copied = MakeEvent();
    }
  }

  const SafetensorsFile& file() const { return file_; }

  // Elements [first, first + count) of the tensor to `to`, when the stream gets there: rows of `width`, `pitch` apart.
  void Copy(const TensorEntry& tensor, size_t first, size_t count, size_t width, size_t pitch, void* to) {
    Slot& slot = slots_[next_++ % slots_.size()];
    Check(cudaEventSynchronize(slot.copied.get()), "copying the weights to the GPU");
    ReadElements(tensor, first, count, slot.memory.data());
    Check(cudaMemcpy2DAsync(to, pitch * kElementBytes, slot.memory.data(), width * kElementBytes, width * kElementBytes,
                            count / width, cudaMemcpyHostToDevice, stream_),
          "copying the weights to the GPU");
    Check(cudaEventRecord(slot.copied.get(), stream_), "copying the weights to the GPU");
  }

 private:
  struct Slot {
    PinnedBuffer memory;
    Event copied;
  };

  void ReadElements(const TensorEntry& tensor, size_t first, size_t count, void* out) {
    const WeightType type = SafetensorsFile::TypeOf(tensor);
    const size_t bytes = BytesOf(type);
    if (IsSame(type, element_)) return ReadTensor(file_, tensor, first * bytes, count * bytes, out);
    unconverted_.resize(count * bytes);
    ReadTensor(file_, tensor, first * bytes, count * bytes, unconverted_.data());
    if (!ConvertElements(type, unconverted_.data(), element_, count, out))
      throw Failure(EXECUTOR_MODEL_UNSUPPORTED,
                    file_.path() +
                        " has weights beyond 65504, the largest float16, and this GPU computes in float16; " +
                        "expected smaller ones, or a GPU of compute capability 8.0 or newer. Use executor: 'cpu'.");
  }

  SafetensorsFile file_;
  Element element_;
  cudaStream_t stream_;
  std::array<Slot, 2> slots_;
  size_t next_ = 0;
  std::vector<std::byte> unconverted_;
};

void Report(double done, const std::function<bool(double)>& on_progress) {
  if (!on_progress(done)) throw Failure(EXECUTOR_LOAD_ABORTED, executor::kLoadAbortedMessage);
}

bool IsBias(const std::string& name) { return name.size() > 5 && name.compare(name.size() - 5, 5, ".bias") == 0; }

// In the layout's order, which numbers the tensors.
void MakeDummyWeights(const Layout& layout, Element element, const std::function<bool(double)>& on_progress,
                      std::byte* memory, cudaStream_t stream) {
  constexpr char kMaking[] = "making dummy weights";
  DeviceBuffer rows;  // of a tensor that is padded: without the padding
  for (size_t i = 0; i < layout.parts.size(); ++i) {
    const Part& part = layout.parts[i];
    const uint32_t number = static_cast<uint32_t>(i);
    const DummyTensor tensor = part.shape.size() > 1 ? DummyMatrix(number, static_cast<int>(part.width))
                               : IsBias(part.name)   ? DummyBias(number)
                                                     : DummyNorm(number);
    std::byte* const to = memory + part.offset;
    if (part.width == part.pitch) {
      FillDummyWeights(tensor, element, part.count, to, stream);
    } else {
      const size_t bytes = part.count * kElementBytes;
      if (rows.bytes() < bytes) rows = DeviceBuffer(bytes, "dummy weights");
      FillDummyWeights(tensor, element, part.count, rows.data(), stream);
      Check(cudaMemcpy2DAsync(to, part.pitch * kElementBytes, rows.data(), part.width * kElementBytes,
                              part.width * kElementBytes, part.count / part.width, cudaMemcpyDeviceToDevice, stream),
            kMaking);
    }
    Check(cudaStreamSynchronize(stream), kMaking);
    Report(static_cast<double>(part.offset + part.count * kElementBytes) / static_cast<double>(layout.bytes),
           on_progress);
  }
}

}  // namespace

Element ElementOf(const ModelConfig& model, const Device& device) {
  constexpr int kFirstWithBfloat16 = 80;
  return model.dtype == "float16" || device.architecture < kFirstWithBfloat16 ? Element::kFloat16 : Element::kBfloat16;
}

int PaddedIntermediate(const ModelConfig& model) {
  constexpr int kDepthMultiple = 8;
  return (model.intermediate_size + kDepthMultiple - 1) / kDepthMultiple * kDepthMultiple;
}

uint64_t WeightBytes(const ModelConfig& model) {
  LlamaWeights nowhere;
  return LayOut(model, &nowhere).bytes;
}

LlamaWeights LoadWeights(const std::optional<std::string>& path, const ModelConfig& model, Element element,
                         const std::function<bool(double)>& on_progress, cudaStream_t stream) {
  LlamaWeights weights;
  const Layout layout = LayOut(model, &weights);
  if (!path) {
    Allocate(layout, model, &weights, stream);
    MakeDummyWeights(layout, element, on_progress, weights.memory.as<std::byte>(), stream);
    return weights;
  }
  Loader loader(*path, element, stream);
  std::vector<const TensorEntry*> tensors;  // all are looked at before memory is taken for any
  for (const Part& part : layout.parts) tensors.push_back(&loader.file().Find(part.name, part.shape));
  Allocate(layout, model, &weights, stream);
  for (size_t i = 0; i < layout.parts.size(); ++i) {
    const Part& part = layout.parts[i];
    const bool is_contiguous = part.width == part.pitch;
    const size_t chunk = is_contiguous ? kChunkElements : std::max<size_t>(kChunkElements / part.width, 1) * part.width;
    for (size_t first = 0; first < part.count; first += chunk) {
      const size_t count = std::min(chunk, part.count - first);
      const size_t offset = part.offset + (is_contiguous ? first : first / part.width * part.pitch) * kElementBytes;
      loader.Copy(*tensors[i], part.first + first, count, is_contiguous ? count : part.width,
                  is_contiguous ? count : part.pitch, weights.memory.as<std::byte>() + offset);
      Report(static_cast<double>(offset + count * kElementBytes) / static_cast<double>(layout.bytes), on_progress);
    }
  }
  Check(cudaStreamSynchronize(stream), "copying the weights to the GPU");
  return weights;
}

}  // namespace embedded::cuda
