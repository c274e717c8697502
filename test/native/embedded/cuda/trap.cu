#include "native/embedded/cuda/check.h"
#include "trap.h"

namespace embedded::cuda {
namespace {

__global__ void TrapKernel() { __trap(); }

}  // namespace

void LaunchTrap(int gpu) {
  Check(cudaSetDevice(gpu), "choosing the GPU");
  cudaStream_t stream = nullptr;  // left open: nothing can be closed afterwards
  Check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
  TrapKernel<<<1, 1, 0, stream>>>();
  Check(cudaGetLastError(), "launching the trap");
}

}  // namespace embedded::cuda
