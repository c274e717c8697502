#include <optional>

#include "native/embedded/cuda/linear.h"
#include "native/embedded/cuda/persistent_grid.h"
#include "native/embedded/cuda/ring_gemv.cuh"

namespace embedded::cuda {
namespace {

int PaddedDepth(int depth) { return (depth + kWarpLoadElements - 1) / kWarpLoadElements * kWarpLoadElements; }

// What measured fastest on an H200 at the shapes of Llama 8B and 70B, with 192 KiB in flight either way.
RingLayout Preferred(const LinearShape& shape, const DeviceTraits& traits) {
  constexpr int kManyOutputs = 65536;
  const int padded = PaddedDepth(shape.depth);
  const RingLayout many_warps{16, 3, 2048, padded};
  const RingLayout long_chunks{8, 3, 4096, padded};
  if (shape.outputs >= kManyOutputs) return long_chunks;
  // With 16 warps most would wait while a few do a second unit.
  const int rounds_in_halves = shape.outputs / (many_warps.warps * traits.multiprocessors);  // a unit is two outputs
  return rounds_in_halves == 2 ? long_chunks : many_warps;
}

// The preferred layout with as many stages and warps as the GPU's shared memory holds.
std::optional<RingLayout> ChooseLayout(const LinearShape& shape, const DeviceTraits& traits) {
  RingLayout layout = Preferred(shape, traits);
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
  const RingLayout layout = ChooseLayout(call.shape, CurrentDeviceTraits()).value();
  RingGemv(call, RingTuning{layout.warps, layout.stages, layout.chunk_bytes}, stream);
}

void RingGemv(const LinearCall& call, const RingTuning& tuning, cudaStream_t stream) {
  const RingLayout layout{tuning.warps, tuning.stages, tuning.chunk_bytes, PaddedDepth(call.shape.depth)};
  const Grid grid = PersistentGrid(CurrentDeviceTraits(), layout.warps * kWarpSize, layout.bytes());
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
