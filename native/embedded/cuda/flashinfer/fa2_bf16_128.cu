#include "native/embedded/cuda/flashinfer/fa2.cuh"

namespace embedded::cuda {

template struct Fa2<__nv_bfloat16, 128>;

}  // namespace embedded::cuda
