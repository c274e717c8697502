#include "native/embedded/cuda/packed_launch.cuh"

namespace embedded::cuda {

template void LaunchPacked<Codes::kInt8, Scales::kRows>(const LinearCall&, const PackedPlan&, float2*, cudaStream_t);

}  // namespace embedded::cuda
