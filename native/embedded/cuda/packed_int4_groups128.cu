#include "native/embedded/cuda/packed_launch.cuh"

namespace embedded::cuda {

template void LaunchPacked<Codes::kInt4, Scales::kGroups128>(const LinearCall&, const PackedPlan&, float2*,
                                                             cudaStream_t);
template void LaunchPacked<Codes::kInt4, Scales::kGroups128Zeros>(const LinearCall&, const PackedPlan&, float2*,
                                                                  cudaStream_t);

}  // namespace embedded::cuda
