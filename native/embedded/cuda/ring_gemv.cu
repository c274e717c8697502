#include <optional>

#include "embedded/cuda/linear.h"
#include "embedded/cuda/persistent_grid.h"
#include "embedded/cuda/ring_gemv.cuh"

namespace embedded::cuda {
namespace {

int PaddedDepth(int depth) { return (depth + kWarpLoadElements - 1) / kWarpLoadElements * kWarpLoadElements; }

// What measured fastest on an H200 at depth 4096 and 14336: 128 to 192 KiB in flight; longer chunks for the many rows of a head;
// fewer warps where x is long.
RingLayout Preferred(const LinearShape& shape) {
  constexpr int kManyOutputs = 65536;
  constexpr int kLongDepth = 8192;
  const int padded = PaddedDepth(shape.depth);
  if (shape.outputs >= kManyOutputs) return {8, 3, 4096, padded};
  return {shape.depth > kLongDepth ? 12 : 16, 3, 2048, padded};
}

// The preferred layout with as many stages and warps as the GPU's shared memory holds.
std::optional<RingLayout> ChooseLayout(const LinearShape& shape, const DeviceTraits& traits) {
  RingLayout layout = Preferred(shape);
  while (layout.bytes() > SharedMemoryPerBlock(traits)) {
    if (layout.stages > 2)
      --layout.stages;
    else if (layout.warps > 4)
      layout.warps /= 2;
    else
      return std::nullopt;
  }
  return layout;
}

}  // namespace

bool CanRingGemv(const LinearCall& call, const DeviceTraits& traits) {
  return traits.compute_capability >= kFirstWithBulkCopies && call.tokens == 1 &&
         call.shape.depth % kElementsPerLoad == 0 && ChooseLayout(call.shape, traits).has_value();
}

void RingGemv(const LinearCall& call, cudaStream_t stream) {
  const DeviceTraits& traits = CurrentDeviceTraits();
  const RingLayout layout = ChooseLayout(call.shape, traits).value();
  const Grid grid = PersistentGrid(traits, layout.warps * kWarpSize, layout.bytes());
  WithElement(call.shape.element, [&](auto element) {
    using T = decltype(element);
    ForInput<T>(call, [&](auto input) {
      ForOutput<T>(call, [&](auto output) {
        const auto launch = [&](auto kernel) {
          AllowSharedMemory(kernel, grid.shared_memory);
          Launch("ring_gemv", kernel, grid, stream, static_cast<const T*>(call.weights), input, output, layout);
        };
        if (layout.chunk_bytes == 4096)
          launch(RingGemvKernel<T, 4096, decltype(input), decltype(output)>);
        else
          launch(RingGemvKernel<T, 2048, decltype(input), decltype(output)>);
      });
    });
  });
}

}  // namespace embedded::cuda
