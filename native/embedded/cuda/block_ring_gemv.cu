#include <algorithm>

#include "native/embedded/cuda/block_ring_gemv.cuh"
#include "native/embedded/cuda/linear.h"
#include "native/embedded/cuda/persistent_grid.h"

namespace embedded::cuda {
namespace {

constexpr int kMaxTokens = 2 * kTokensPerFragment;
constexpr int kMostStages = 6;
constexpr int kFewestStages = 2;

// The depths whose x fits: 64 or 128 registers of the 168 that a thread of 9 warps can have.
bool KeepsXInRegisters(const LinearCall& call) {
  return call.shape.depth == 4096 || (call.shape.depth == 8192 && call.tokens <= kTokensPerFragment);
}

// With a few rows of x in each stage, 32 rows of w to a tile halve how often x travels.
int RowFragments(const LinearCall& call) {
  return !KeepsXInRegisters(call) && call.tokens > kTokensPerFragment / 2 && call.tokens <= kTokensPerFragment ? 2 : 1;
}

// As measured on an H200: as much in flight as fits, but less with several tokens and so few tiles that starting a block counts.
int PreferredStages(const LinearCall& call, const DeviceTraits& traits) {
  constexpr int kFewTiles = 5;  // of a multiprocessor
  const int tiles = call.shape.outputs / (RowFragments(call) * kRowsPerFragment);
  if (call.tokens <= kTokensPerFragment / 2 || tiles > kFewTiles * traits.multiprocessors) return kMostStages;
  return call.tokens <= kTokensPerFragment ? 5 : 4;
}

BlockRingLayout ChooseLayout(const LinearCall& call, const DeviceTraits& traits) {
  BlockRingLayout layout{PreferredStages(call, traits), RowFragments(call) * kRowsPerFragment,
                         KeepsXInRegisters(call) ? 0 : call.tokens,
                         call.tokens <= kTokensPerFragment ? kTokensPerFragment : kMaxTokens};
  while (layout.stages > kFewestStages && layout.bytes() > SharedMemoryPerBlock(traits)) --layout.stages;
  return layout;
}

template <typename T, int kDepth, int kTokenFragments, int kRowFragments>
void LaunchBlockRing(const LinearCall& call, const BlockRingLayout& layout, cudaStream_t stream) {
  const Grid grid = PersistentGrid(CurrentDeviceTraits(), kBlockRingThreads, layout.bytes());
  ForOutput<T>(call, [&](auto output) {
    const auto kernel = BlockRingGemvKernel<T, kDepth, kTokenFragments, kRowFragments, decltype(output)>;
    AllowSharedMemory(kernel, grid.shared_memory);
    Launch("block_ring_gemv", kernel, grid, stream, static_cast<const T*>(call.weights),
           static_cast<const T*>(std::get<ElementsInput>(call.input).x), call.shape.depth, call.tokens, output, layout);
  });
}

}  // namespace

bool CanBlockRingGemv(const LinearCall& call, const DeviceTraits& traits) {
  return traits.compute_capability >= kFirstWithBulkCopies && call.tokens >= 1 && call.tokens <= kMaxTokens &&
         call.shape.depth % kElementsPerLoad == 0 && std::holds_alternative<ElementsInput>(call.input) &&
         ChooseLayout(call, traits).bytes() <= SharedMemoryPerBlock(traits);
}

void BlockRingGemv(const LinearCall& call, cudaStream_t stream) {
  BlockRingGemv(call, BlockRingTuning{ChooseLayout(call, CurrentDeviceTraits()).stages}, stream);
}

void BlockRingGemv(const LinearCall& call, const BlockRingTuning& tuning, cudaStream_t stream) {
  BlockRingLayout layout = ChooseLayout(call, CurrentDeviceTraits());
  layout.stages = tuning.stages;
  WithElement(call.shape.element, [&](auto element) {
    using T = decltype(element);
    const bool one_fragment = call.tokens <= kTokensPerFragment;
    if (KeepsXInRegisters(call) && call.shape.depth == 8192)
      LaunchBlockRing<T, 8192, 1, 1>(call, layout, stream);
    else if (KeepsXInRegisters(call) && one_fragment)
      LaunchBlockRing<T, 4096, 1, 1>(call, layout, stream);
    else if (KeepsXInRegisters(call))
      LaunchBlockRing<T, 4096, 2, 1>(call, layout, stream);
    else if (!one_fragment)
      LaunchBlockRing<T, 0, 2, 1>(call, layout, stream);
    else if (RowFragments(call) == 2)
      LaunchBlockRing<T, 0, 1, 2>(call, layout, stream);
    else
      LaunchBlockRing<T, 0, 1, 1>(call, layout, stream);
  });
}

}  // namespace embedded::cuda
