#include "native/embedded/cuda/rank_adapters.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "native/embedded/cuda/convert.h"
#include "native/embedded/cuda/linear.h"
#include "native/executor/cpp/failure.h"

namespace embedded::cuda {
namespace {

constexpr size_t kAlignment = 16;
constexpr int kDepthMultiple = 8;  // of the rows that the kernels read

size_t Aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// A rank's pairs and matrices on the host, as they are on the device; pointers are offsets.
struct Image {
  std::vector<LoraPair> pairs;
  std::vector<std::byte> bytes;
};

class ImageMaker {
 public:
  ImageMaker(const Adapter& adapter, const ModelConfig& model, int rank, Element element)
      : adapter_(adapter), model_(model), rank_(rank), element_(element) {}

  Image Make() {
    const int layers = model_.layers / model_.pp_size;
    const int first = rank_ / model_.tp_size * layers;
    for (int layer = 0; layer < layers; ++layer)
      for (size_t module = 0; module < kLoraModules; ++module)
        image_.pairs.push_back(PairOf(first + layer, static_cast<LoraModule>(module)));
    return std::move(image_);
  }

 private:
  LoraPair PairOf(int layer, LoraModule module) {
    const LoraMatrices& whole = adapter_.at(layer, module);
    if (whole.rank == 0) return {};
    const LoraPart part = LoraPartOf(module, model_, rank_);
    const size_t rank = static_cast<size_t>(whole.rank);
    const size_t inputs = static_cast<size_t>(part.inputs), outputs = static_cast<size_t>(part.outputs);
    const size_t stride = static_cast<size_t>((part.inputs + kDepthMultiple - 1) / kDepthMultiple * kDepthMultiple);
    const size_t value_bytes = BytesOf(adapter_.type);
    const size_t a = Take(rank * stride), b = Take(outputs * rank);
    for (size_t r = 0; r < rank; ++r) {
      const size_t from = r * static_cast<size_t>(part.all_inputs) + static_cast<size_t>(part.first_input);
      Convert(whole.a + from * value_bytes, inputs, a + r * stride * kElementBytes);
    }
    Convert(whole.b + static_cast<size_t>(part.first_output) * rank * value_bytes, outputs * rank, b);
    return {reinterpret_cast<const void*>(a), reinterpret_cast<const void*>(b), whole.rank};
  }

  // The offset of so many elements, all 0.
  size_t Take(size_t elements) {
    const size_t offset = image_.bytes.size();
    image_.bytes.resize(offset + Aligned(elements * kElementBytes));
    return offset;
  }

  void Convert(const std::byte* from, size_t count, size_t to) {
    if (ConvertElements(adapter_.type, from, element_, count, image_.bytes.data() + to)) return;
    throw executor::Failure(EXECUTOR_INVALID_INPUT,
                            "lora.weights has a value that float16 cannot hold; expected values within 65504, because "
                            "the model is in float16 on this GPU. Use executor: 'cpu' for this adapter.")
        .About("lora");
  }

  const Adapter& adapter_;
  const ModelConfig& model_;
  int rank_;
  Element element_;
  Image image_;
};

}  // namespace

RankAdapters::RankAdapters(const ModelConfig& model, int rank, Element element)
    : model_(model),
      rank_(rank),
      element_(element),
      table_(sizeof(LoraPair*) * kAdapterSlots, "adapters"),
      adapters_(kAdapterSlots) {}

void RankAdapters::Load(int slot, const Adapter& adapter, cudaStream_t stream) {
  constexpr char kLoading[] = "copying an adapter to the GPU";
  DeviceBuffer& buffer = adapters_[static_cast<size_t>(slot)];
  Image image = ImageMaker(adapter, model_, rank_, element_).Make();
  const size_t pairs_bytes = Aligned(sizeof(LoraPair) * image.pairs.size());
  buffer = DeviceBuffer(pairs_bytes + image.bytes.size(), "an adapter");
  std::byte* const matrices = buffer.as<std::byte>() + pairs_bytes;
  for (LoraPair& pair : image.pairs) {
    pair.a = matrices + reinterpret_cast<size_t>(pair.a);
    pair.b = matrices + reinterpret_cast<size_t>(pair.b);
  }
  const LoraPair* const at = buffer.as<LoraPair>();
  Check(cudaMemcpyAsync(buffer.data(), image.pairs.data(), sizeof(LoraPair) * image.pairs.size(),
                        cudaMemcpyHostToDevice, stream),
        kLoading);
  Check(cudaMemcpyAsync(matrices, image.bytes.data(), image.bytes.size(), cudaMemcpyHostToDevice, stream), kLoading);
  Check(cudaMemcpyAsync(table_.as<const LoraPair*>() + slot, &at, sizeof(at), cudaMemcpyHostToDevice, stream),
        kLoading);
  Check(cudaStreamSynchronize(stream), kLoading);  // the copies read this function's memory
}

void RankAdapters::Drop(const std::vector<int>& slots, cudaStream_t stream) {
  Check(cudaStreamSynchronize(stream), "freeing adapters");
  for (const int slot : slots) adapters_[static_cast<size_t>(slot)] = DeviceBuffer();
}

}  // namespace embedded::cuda
