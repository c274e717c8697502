#include "native/embedded/cuda/flashinfer/fa3.cuh"

namespace embedded::cuda {

template struct Fa3<__half, 128>;

}  // namespace embedded::cuda
