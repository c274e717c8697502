// Launches the kernels of packed_linear.cuh: one function for each form, in files of their own, which compile side by side.
#ifndef EMBEDDED_CUDA_PACKED_LAUNCH_CUH_
#define EMBEDDED_CUDA_PACKED_LAUNCH_CUH_

#include "native/embedded/cuda/packed_linear.cuh"
#include "native/embedded/cuda/persistent_grid.h"

namespace embedded::cuda {

constexpr int kPackedMaxTokens = 8 * kFragmentTokens;

template <typename T, Codes kCodes, Scales kScales, int kTokenFragments>
void LaunchPacked(const LinearCall& call, const PackedPlan& plan, float2* partial, cudaStream_t stream) {
  const auto kernel = PackedLinearKernel<T, kCodes, kScales, kTokenFragments>;
  Grid grid = PersistentGrid(CurrentDeviceTraits(), plan.warps * kWarpSize, plan.bytes());
  grid.blocks.x = static_cast<unsigned>(std::min<int>(static_cast<int>(grid.blocks.x) / plan.slices, plan.tiles));
  grid.blocks.y = static_cast<unsigned>(plan.slices);
  AllowSharedMemory(kernel, grid.shared_memory);
  const auto* const elements = std::get_if<ElementsInput>(&call.input);
  const auto* const normalized = std::get_if<NormalizedInput>(&call.input);
  Launch("packed_linear", kernel, grid, stream, static_cast<const unsigned char*>(call.weights),
         StageElements<T>(elements == nullptr ? ElementsInput{} : *elements, plan.depth),
         StageNormalized<T>(normalized == nullptr ? NormalizedInput{} : *normalized, plan.depth), AnyOutput<T>(call),
         partial, plan);
}

template <Codes kCodes, Scales kScales>
void LaunchPacked(const LinearCall& call, const PackedPlan& plan, float2* partial, cudaStream_t stream) {
  WithElement(call.shape.element, [&](auto element) {
    using T = decltype(element);
    if (call.tokens <= kFragmentTokens) return LaunchPacked<T, kCodes, kScales, 1>(call, plan, partial, stream);
    if (call.tokens <= 2 * kFragmentTokens) return LaunchPacked<T, kCodes, kScales, 2>(call, plan, partial, stream);
    if (call.tokens <= 4 * kFragmentTokens) return LaunchPacked<T, kCodes, kScales, 4>(call, plan, partial, stream);
    LaunchPacked<T, kCodes, kScales, 8>(call, plan, partial, stream);
  });
}

using PackedLauncher = void (*)(const LinearCall& call, const PackedPlan& plan, float2* partial, cudaStream_t stream);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_PACKED_LAUNCH_CUH_
