#include "native/embedded/cuda/packed_launch.cuh"

namespace embedded::cuda {

template void LaunchPacked<Codes::kInt8, Scales::kGroups32>(const LinearCall&, const PackedPlan&, float2*,
                                                            cudaStream_t);
template void LaunchPacked<Codes::kInt8, Scales::kGroups32Zeros>(const LinearCall&, const PackedPlan&, float2*,
                                                                 cudaStream_t);
template void LaunchPacked<Codes::kInt8, Scales::kGroups16>(const LinearCall&, const PackedPlan&, float2*,
                                                            cudaStream_t);
template void LaunchPacked<Codes::kInt8, Scales::kGroups16Zeros>(const LinearCall&, const PackedPlan&, float2*,
                                                                 cudaStream_t);

}  // namespace embedded::cuda
