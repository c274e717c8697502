#include "native/embedded/cuda/invariant_linear.cuh"
#include "native/embedded/cuda/invariant_linear.h"

namespace embedded::cuda {
namespace {

// Calls body with a value of the tile's InvariantShape.
template <typename Body>
auto WithShape(InvariantTile tile, Body body) {
  switch (tile) {
    case InvariantTile::k32x32:
      return body(InvariantShape<2, 4, 1, 1, kChains, 3>());
    case InvariantTile::k32x64:
      return body(InvariantShape<2, 8, 1, 1, kChains, 4>());
    case InvariantTile::k64x64:
      return body(InvariantShape<4, 8, 1, 1, kChains, 3>());
    case InvariantTile::k128x128:
      break;
  }
  return body(InvariantShape<2, 8, 4, 2, 1, 4>());
}

bool Fits(InvariantTile tile, const DeviceTraits& traits) {
  constexpr size_t kStaticBytes = 512;  // of row_of
  return WithShape(tile, [&](auto shape) {
    return decltype(shape)::kSharedBytes + kStaticBytes <= static_cast<size_t>(traits.shared_memory_per_block);
  });
}

}  // namespace

bool CanInvariantLinear(const LinearCall& call, const DeviceTraits& traits) {
  return traits.compute_capability >= 80 && !call.shape.form.is_packed() && call.shape.depth % kElementsPerLoad == 0 &&
         std::holds_alternative<ElementsInput>(call.input);
}

// The largest tile of which there are enough for most of the multiprocessors: it reads the least from the L2 cache.
InvariantTile ChooseInvariantTile(const LinearCall& call, const DeviceTraits& traits) {
  for (const InvariantTile tile : {InvariantTile::k128x128, InvariantTile::k64x64, InvariantTile::k32x64}) {
    const int tiles = WithShape(tile, [&](auto shape) {
      using S = decltype(shape);
      if (call.tokens * 2 <= S::kTileTokens) return 0;
      return CeilDivide(call.shape.outputs, S::kTileRows) * CeilDivide(call.tokens, S::kTileTokens);
    });
    if (2 * tiles > traits.multiprocessors && Fits(tile, traits)) return tile;
  }
  return InvariantTile::k32x32;
}

void InvariantLinear(const LinearCall& call, cudaStream_t stream) {
  InvariantLinear(call, ChooseInvariantTile(call, CurrentDeviceTraits()), stream);
}

void InvariantLinear(const LinearCall& call, InvariantTile tile, cudaStream_t stream) {
  WithElement(call.shape.element, [&](auto element) {
    using T = decltype(element);
    const AnyOutput<T> output(call);
    WithShape(tile, [&](auto shape) {
      using S = decltype(shape);
      const auto kernel = InvariantLinearKernel<T, S>;
      AllowSharedMemory(kernel, S::kSharedBytes);
      Launch("invariant_linear", kernel,
             {dim3(static_cast<unsigned>(CeilDivide(call.tokens, S::kTileTokens)),
                   static_cast<unsigned>(CeilDivide(output.units(), S::kTileUnits))),
              dim3(S::kThreads), S::kSharedBytes},
             stream, static_cast<const T*>(call.weights), static_cast<const T*>(std::get<ElementsInput>(call.input).x),
             call.shape.depth, call.tokens, output);
    });
  });
}

}  // namespace embedded::cuda
