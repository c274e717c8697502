#include "native/embedded/cuda/check.h"

#include <string>

namespace embedded::cuda {

using executor::Failure;

Failure CudaFailure(cudaError_t error, const char* what) {
  const std::string found = std::string("CUDA error ") + cudaGetErrorName(error) + " (" + cudaGetErrorString(error) +
                            ") while " + what + "; expected success. ";
  switch (error) {
    case cudaErrorMemoryAllocation:
      cudaGetLastError();  // not sticky: the next call must not report it again
      return Failure(EXECUTOR_OUT_OF_MEMORY,
                     found + "Use a smaller KV cache or batch, or stop what else uses the GPU.");
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
    case cudaErrorInvalidDeviceFunction:
      return Failure(EXECUTOR_UNAVAILABLE,
                     found + "Build the library for this GPU: npm run build:cuda -- --arch ARCHITECTURE.");
    case cudaErrorInsufficientDriver:
    case cudaErrorNoDevice:
    case cudaErrorSystemDriverMismatch:
      return Failure(EXECUTOR_UNAVAILABLE, found + "Install a driver for CUDA 13 (580 or newer) on this machine.");
    default:
      return Failure(EXECUTOR_FAILED, found +
                                          "The GPU is lost to this process: start a new one. With isolation: 'process' "
                                          "that is done for you.");
  }
}

}  // namespace embedded::cuda
