#include "native/embedded/cuda/flashinfer/fa3.cuh"

namespace embedded::cuda {

template struct Fa3<__nv_bfloat16, 128>;

}  // namespace embedded::cuda
