#include "embedded/cuda/flashinfer_fa3.cuh"

namespace embedded::cuda {

template struct Fa3<__half, 128>;

}  // namespace embedded::cuda
