#include "native/embedded/cuda/flashinfer/fa2.cuh"

namespace embedded::cuda {

template struct Fa2<__half, 128>;

}  // namespace embedded::cuda
