#include "native/embedded/cuda/probe.h"

namespace embedded::cuda {
namespace {

__global__ void EmptyKernel() {}

}  // namespace

cudaError_t ProbeKernel() {
  cudaFuncAttributes attributes;
  return cudaFuncGetAttributes(&attributes, EmptyKernel);
}

}  // namespace embedded::cuda
