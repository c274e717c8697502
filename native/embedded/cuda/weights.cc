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
#include "native/embedded/cuda/pack.h"
#include "native/embedded/cuda/weight_layout.h"
#include "native/executor/cpp/start_thread.h"

namespace embedded::cuda {
namespace {

using executor::Failure;

constexpr size_t kChunkElements = size_t{16} << 20;  // 32 MiB: read while the chunk before it is copied
constexpr size_t kChunkBytes = kChunkElements * kElementBytes;
constexpr int kReaders = 4;                          // one thread alone reads from the page cache at half its speed
constexpr size_t kLeastPerReader = size_t{1} << 20;  // bytes
constexpr char kCopying[] = "copying the weights to the GPU";

// Takes the memory and sets the pointers. What is between the tensors is 0 when the stream gets there.
void Allocate(const WeightLayout& layout, const ModelConfig& model, LlamaWeights* weights, cudaStream_t stream) {
  weights->memory = DeviceBuffer(layout.bytes, "the weights");
  if (PaddedIntermediate(model) != model.intermediate_size)
    Check(cudaMemsetAsync(weights->memory.data(), 0, layout.bytes, stream), "clearing the weights");
  for (const ElementsPart& part : layout.elements)
    if (part.pointer != nullptr) *part.pointer = weights->memory.as<std::byte>() + part.offset;
  for (const PackedMatrix& packed : layout.packed)
    packed.matrix->data = weights->memory.as<std::byte>() + packed.offset;
  if (model.tied_head && weights->head.data == nullptr) weights->head.data = weights->embedding;
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

void Report(size_t done, const WeightLayout& layout, const std::function<bool(double)>& on_progress) {
  if (!on_progress(static_cast<double>(done) / static_cast<double>(layout.bytes)))
    throw Failure(EXECUTOR_LOAD_ABORTED, executor::kLoadAbortedMessage);
}

// What a matrix is packed from, in device memory for one at a time. Where a model is packed this is less than what it works in later.
class Staging {
 public:
  explicit Staging(const WeightLayout& layout) {
    size_t largest = 0;
    for (const PackedMatrix& packed : layout.packed) largest = std::max(largest, packed.element_bytes());
    if (!layout.packed.empty())  // the embedding may be in blocks
      for (const ElementsPart& part : layout.elements) largest = std::max(largest, part.bytes());
    if (largest > 0) memory_ = DeviceBuffer(largest, "packing the weights");
  }
  std::byte* data() const { return memory_.as<std::byte>(); }
  // A copy of the values that starts `offset` bytes in, which is moved behind it. They may be changed when the call returns.
  const float* Put(const std::vector<float>& values, size_t* offset, cudaStream_t stream) const {
    constexpr size_t kAlignment = 16;
    *offset = (*offset + kAlignment - 1) / kAlignment * kAlignment;
    std::byte* const to = data() + *offset;
    *offset += values.size() * sizeof(float);
    Check(cudaMemcpyAsync(to, values.data(), values.size() * sizeof(float), cudaMemcpyHostToDevice, stream), kCopying);
    return reinterpret_cast<const float*>(to);
  }

 private:
  DeviceBuffer memory_;
};

LinearShape ShapeOf(const PackedMatrix& packed, Element element) {
  return {element, packed.outputs, packed.depth, packed.form};
}

class Loader {
 public:
  Loader(const SafetensorsFile& file, const ModelConfig& model, Element element, cudaStream_t stream)
      : file_(file), model_(model), element_(element), stream_(stream) {
    for (Slot& slot : slots_) {
      slot.memory = PinnedBuffer(kChunkBytes, "reading the weights");
      slot.copied = MakeEvent();
    }
  }

  void LoadElements(const ElementsPart& part, const Staging& staging, std::byte* memory) {
    const TensorEntry& tensor = FindElements(file_, model_, part);
    if (tensor.dtype == "U8") {
      const int rows = static_cast<int>(part.shape[0]), depth = static_cast<int>(part.shape[1]);
      const WeightBlock& block = BlockOf(SafetensorsFile::TypeOf(tensor));
      CopyBytes(tensor, 0, tensor.bytes, 0, staging);
      const BlocksSource source{{{SafetensorsFile::TypeOf(tensor), reinterpret_cast<const uint8_t*>(staging.data()),
                                  rows, block.weights, block.bytes}}};
      return DecodeBlocks(element_, rows, depth, source, memory + part.offset, stream_);
    }
    if (!part.factors.empty()) return LoadProduct(part, tensor, memory);
    const bool is_contiguous = part.width == part.pitch;
    const size_t chunk = is_contiguous ? kChunkElements : std::max<size_t>(kChunkElements / part.width, 1) * part.width;
    for (size_t first = 0; first < part.count; first += chunk) {
      const size_t count = std::min(chunk, part.count - first);
      const size_t offset = part.offset + (is_contiguous ? first : first / part.width * part.pitch) * kElementBytes;
      Copy(tensor, part.first + first, count, is_contiguous ? count : part.width, is_contiguous ? count : part.pitch,
           memory + offset);
    }
  }

  void LoadPacked(const PackedMatrix& packed, const Staging& staging, std::byte* memory) {
    const LinearShape shape = ShapeOf(packed, element_);
    void* const to = memory + packed.offset;
    const size_t depth = static_cast<size_t>(packed.depth);
    size_t offset = 0;  // in the staging
    const Quantization& quantization = model_.quantization;
    switch (quantization.algo) {
      case QuantAlgo::kW8A16:
      case QuantAlgo::kW4A16:
        for (const MatrixRows& part : packed.parts) {
          const TensorEntry& tensor = file_.Find(part.module + ".weight", {part.tensor_rows, packed.depth});
          const size_t end = static_cast<size_t>(part.first_row + part.rows) * depth;
          for (size_t first = static_cast<size_t>(part.first_row) * depth; first < end; first += kChunkElements) {
            const size_t count = std::min(kChunkElements, end - first);
            Copy(tensor, first, count, count, count, staging.data() + offset);
            offset += count * kElementBytes;
          }
        }
        return PackElements(shape, staging.data(), to, stream_);
      case QuantAlgo::kGgml: {
        BlocksSource source{};
        for (size_t i = 0; i < packed.parts.size(); ++i) {
          const MatrixRows& part = packed.parts[i];
          const WeightBlock& block = BlockOf(part.type);
          const size_t row_bytes = RowBytes(part.type, packed.depth);
          source.parts[i] = {part.type, reinterpret_cast<const uint8_t*>(staging.data() + offset), part.rows,
                             block.weights, block.bytes};
          const TensorEntry& tensor = file_.FindMatrix(part.module + ".weight", part.tensor_rows, packed.depth);
          offset = CopyBytes(tensor, static_cast<size_t>(part.first_row) * row_bytes,
                             static_cast<size_t>(part.rows) * row_bytes, offset, staging);
        }
        return PackBlocks(shape, source, to, stream_);
      }
      case QuantAlgo::kW4A16Awq: {
        for (const MatrixRows& part : packed.parts)
          offset = CopyRows(part, part.tensor_rows / 2, part.first_row / 2, part.rows / 2, depth, offset, staging);
        const int64_t groups = packed.depth / quantization.group_size;
        std::vector<float> scales, zeros;
        for (const MatrixRows& part : packed.parts) {
          const std::vector<float> all =
              ReadFloats(part.module + ".weights_scaling_factor", {part.tensor_rows, groups});
          scales.insert(scales.end(), all.begin() + part.first_row * groups,
                        all.begin() + (part.first_row + part.rows) * groups);
          if (!quantization.has_zero_point) continue;
          const std::vector<float> all_zeros = ReadFloats(part.module + ".zero", {groups, part.tensor_rows});
          for (int64_t group = 0; group < groups; ++group) {
            const auto row = all_zeros.begin() + group * part.tensor_rows + part.first_row;
            zeros.insert(zeros.end(), row, row + part.rows);
          }
        }
        Int4Source source{reinterpret_cast<const uint8_t*>(staging.data()), nullptr, nullptr, quantization.group_size,
                          packed.parts.front().rows};
        source.scales = staging.Put(scales, &offset, stream_);
        if (quantization.has_zero_point) source.zeros = staging.Put(zeros, &offset, stream_);
        return PackInt4(shape, source, to, stream_);
      }
      default: {
        std::vector<float> scales;
        for (const MatrixRows& part : packed.parts) {
          offset = CopyRows(part, part.tensor_rows, part.first_row, part.rows, depth, offset, staging);
          if (quantization.algo == QuantAlgo::kFp8) {
            const TensorEntry& factor = FindNumber(file_, part.module + ".weights_scaling_factor");
            scales.insert(scales.end(), static_cast<size_t>(part.rows), ReadFloats(factor).front());
          } else {
            const std::vector<float> all = ReadFloats(part.module + ".per_channel_scale", {part.tensor_rows});
            scales.insert(scales.end(), all.begin() + part.first_row, all.begin() + part.first_row + part.rows);
          }
        }
        const float* const row_scales = staging.Put(scales, &offset, stream_);
        return PackFp8(shape, {reinterpret_cast<const uint8_t*>(staging.data()), row_scales}, to, stream_);
      }
    }
  }

 private:
  struct Slot {
    PinnedBuffer memory;
    Event copied;
  };

  Slot& NextSlot() {
    Slot& slot = slots_[next_++ % slots_.size()];
    Check(cudaEventSynchronize(slot.copied.get()), kCopying);
    return slot;
  }

  // Elements [first, first + count) of the tensor to `to`, when the stream gets there: rows of `width`, `pitch` apart.
  void Copy(const TensorEntry& tensor, size_t first, size_t count, size_t width, size_t pitch, void* to) {
    Slot& slot = NextSlot();
    ReadElements(tensor, first, count, slot.memory.data());
    Check(cudaMemcpy2DAsync(to, pitch * kElementBytes, slot.memory.data(), width * kElementBytes, width * kElementBytes,
                            count / width, cudaMemcpyHostToDevice, stream_),
          kCopying);
    Check(cudaEventRecord(slot.copied.get(), stream_), kCopying);
  }

  // Rows of bytes of the part's matrix into the staging; gives the offset behind them.
  size_t CopyRows(const MatrixRows& part, int64_t tensor_rows, int first_row, int rows, size_t depth, size_t offset,
                  const Staging& staging) {
    const TensorEntry& tensor =
        file_.Find(part.module + ".weight", {tensor_rows, static_cast<int64_t>(depth)}, {"F8_E4M3", "I8", "U8"});
    return CopyBytes(tensor, static_cast<size_t>(first_row) * depth, static_cast<size_t>(rows) * depth, offset,
                     staging);
  }

  // Bytes [first, first + count) of the tensor into the staging; gives the offset behind them.
  size_t CopyBytes(const TensorEntry& tensor, size_t first, size_t count, size_t offset, const Staging& staging) {
    const size_t end = first + count;
    for (; first < end; first += kChunkBytes) {
      const size_t bytes = std::min(kChunkBytes, end - first);
      Slot& slot = NextSlot();
      ReadTensor(file_, tensor, first, bytes, slot.memory.data());
      Check(cudaMemcpyAsync(staging.data() + offset, slot.memory.data(), bytes, cudaMemcpyHostToDevice, stream_),
            kCopying);
      Check(cudaEventRecord(slot.copied.get(), stream_), kCopying);
      offset += bytes;
    }
    return offset;
  }

  void LoadProduct(const ElementsPart& part, const TensorEntry& tensor, std::byte* memory) {
    std::vector<float> values = ReadFloats(tensor);
    const std::vector<float> factors = ReadFloats(part.factors, part.shape);
    for (size_t i = 0; i < values.size(); ++i) values[i] *= factors[i];
    Slot& slot = NextSlot();
    if (!ConvertElements(WeightType::kFloat32, values.data(), element_, values.size(), slot.memory.data()))
      throw TooLarge();
    Check(cudaMemcpyAsync(memory + part.offset, slot.memory.data(), values.size() * kElementBytes,
                          cudaMemcpyHostToDevice, stream_),
          kCopying);
    Check(cudaEventRecord(slot.copied.get(), stream_), kCopying);
  }

  std::vector<float> ReadFloats(const std::string& name, const std::vector<int64_t>& shape) const {
    return ReadFloats(file_.Find(name, shape));
  }
  std::vector<float> ReadFloats(const TensorEntry& tensor) const {
    const WeightType type = SafetensorsFile::TypeOf(tensor);
    std::vector<std::byte> bytes(tensor.bytes);
    ReadTensor(file_, tensor, 0, bytes.size(), bytes.data());
    std::vector<float> values(bytes.size() / BytesOf(type));
    ConvertToFloats(type, bytes.data(), values.size(), values.data());
    return values;
  }

  void ReadElements(const TensorEntry& tensor, size_t first, size_t count, void* out) {
    const WeightType type = SafetensorsFile::TypeOf(tensor);
    const size_t bytes = BytesOf(type);
    if (IsSame(type, element_)) return ReadTensor(file_, tensor, first * bytes, count * bytes, out);
    unconverted_.resize(count * bytes);
    ReadTensor(file_, tensor, first * bytes, count * bytes, unconverted_.data());
    if (!ConvertElements(type, unconverted_.data(), element_, count, out)) throw TooLarge();
  }

  Failure TooLarge() const {
    return Failure(EXECUTOR_MODEL_UNSUPPORTED,
                   file_.path() + " has weights beyond 65504, the largest float16, and this GPU computes in float16; " +
                       "expected smaller ones, or a GPU of compute capability 8.0 or newer. Use executor: 'cpu'.");
  }

  const SafetensorsFile& file_;
  const ModelConfig& model_;
  Element element_;
  cudaStream_t stream_;
  std::array<Slot, 2> slots_;
  size_t next_ = 0;
  std::vector<std::byte> unconverted_;
};

bool IsBias(const std::string& name) { return name.size() > 5 && name.compare(name.size() - 5, 5, ".bias") == 0; }

void MakeDummyElements(const ElementsPart& part, Element element, std::byte* memory, DeviceBuffer* rows,
                       cudaStream_t stream) {
  const DummyTensor tensor = part.shape.size() > 1 ? DummyMatrix(part.number, static_cast<int>(part.width))
                             : IsBias(part.name)   ? DummyBias(part.number)
                                                   : DummyNorm(part.number);
  std::byte* const to = memory + part.offset;
  if (part.width == part.pitch) return FillDummyWeights(tensor, element, part.count, to, stream);
  const size_t bytes = part.count * kElementBytes;
  if (rows->bytes() < bytes) *rows = DeviceBuffer(bytes, "dummy weights");
  FillDummyWeights(tensor, element, part.count, rows->data(), stream);
  Check(cudaMemcpy2DAsync(to, part.pitch * kElementBytes, rows->data(), part.width * kElementBytes,
                          part.width * kElementBytes, part.count / part.width, cudaMemcpyDeviceToDevice, stream),
        "making dummy weights");
}

// Codes that are any, with scales that give weights as large as a plain model's.
void MakeDummyPacked(const PackedMatrix& packed, const ModelConfig& model, Element element, const Staging& staging,
                     std::byte* memory, cudaStream_t stream) {
  const LinearShape shape = ShapeOf(packed, element);
  void* const to = memory + packed.offset;
  const size_t depth = static_cast<size_t>(packed.depth);
  const float amplitude = DummyMatrix(0, packed.depth).amplitude;
  if (packed.form.scales == Scales::kRows && packed.form.codes != Codes::kFp8) {
    size_t offset = 0;
    for (const MatrixRows& part : packed.parts) {
      const size_t count = static_cast<size_t>(part.rows) * depth;
      FillDummyWeights(DummyMatrix(part.number, packed.depth), element, count, staging.data() + offset, stream);
      offset += count * kElementBytes;
    }
    return PackElements(shape, staging.data(), to, stream);
  }
  const uint8_t* const codes = reinterpret_cast<const uint8_t*>(staging.data());
  const size_t rows = static_cast<size_t>(packed.outputs);
  const uint32_t number = packed.parts.front().number;
  if (packed.form.codes == Codes::kFp8) {
    size_t offset = rows * depth;
    FillDummyCodes(number, offset, kSmallFp8, staging.data(), stream);
    return PackFp8(shape, {codes, staging.Put(std::vector<float>(rows, amplitude / 2), &offset, stream)}, to, stream);
  }
  size_t offset = rows * depth / 2;
  FillDummyCodes(number, offset, kAnyCode, staging.data(), stream);
  const int group = model.quantization.group_size;
  const std::vector<float> scales(rows * (depth / static_cast<size_t>(group)), amplitude / 8);
  Int4Source source{codes, staging.Put(scales, &offset, stream), nullptr, group, packed.outputs};
  if (packed.form.has_zeros()) source.zeros = staging.Put(scales, &offset, stream);
  PackInt4(shape, source, to, stream);
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

bool FinishesHeads(const ModelConfig& model, KvType kv_type, int layer) {
  return kv_type == KvType::kInt8 || model.qkv_bias || model.qk_norm || !model.HasRope(layer);
}

WeightSizes PlanWeights(const std::optional<std::string>& path, const ModelConfig& model) {
  std::optional<SafetensorsFile> file;
  if (path) file.emplace(*path);
  LlamaWeights nowhere;
  const WeightLayout layout = LayOutWeights(file ? &*file : nullptr, model, KvType::kElements, &nowhere);
  WeightSizes sizes{layout.bytes, 0};
  for (const PackedMatrix& packed : layout.packed)
    sizes.expanded_bytes = std::max<uint64_t>(sizes.expanded_bytes, packed.element_bytes());
  return sizes;
}

LlamaWeights LoadWeights(const std::optional<std::string>& path, const ModelConfig& model, Element element,
                         KvType kv_type, const std::function<bool(double)>& on_progress, cudaStream_t stream) {
  LlamaWeights weights;
  std::optional<SafetensorsFile> file;
  if (path) file.emplace(*path);
  const WeightLayout layout = LayOutWeights(file ? &*file : nullptr, model, kv_type, &weights);
  Allocate(layout, model, &weights, stream);
  std::byte* const memory = weights.memory.as<std::byte>();
  const Staging staging(layout);
  std::optional<Loader> loader;
  if (file) loader.emplace(*file, model, element, stream);
  DeviceBuffer dummy_rows;  // of a tensor that is padded: without the padding
  size_t done = 0;
  const auto next = [&](size_t bytes) {
    if (!file) Check(cudaStreamSynchronize(stream), "making dummy weights");
    Report(done += bytes, layout, on_progress);
  };
  for (const ElementsPart& part : layout.elements) {
    if (loader)
      loader->LoadElements(part, staging, memory);
    else
      MakeDummyElements(part, element, memory, &dummy_rows, stream);
    next(part.bytes());
  }
  for (const PackedMatrix& packed : layout.packed) {
    if (loader)
      loader->LoadPacked(packed, staging, memory);
    else
      MakeDummyPacked(packed, model, element, staging, memory, stream);
    next(packed.bytes());
  }
  Check(cudaStreamSynchronize(stream), kCopying);
  return weights;
}

}  // namespace embedded::cuda
