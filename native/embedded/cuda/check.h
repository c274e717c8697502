// Results of the CUDA runtime as failures of the executor.
#ifndef EMBEDDED_CUDA_CHECK_H_
#define EMBEDDED_CUDA_CHECK_H_

#include <cuda_runtime_api.h>

#include "native/executor/cpp/failure.h"

namespace embedded::cuda {

// The failure of a call that returned `error`; `what` names what was being done: "copying the weights to the GPU".
// EXECUTOR_OUT_OF_MEMORY where memory ran out, EXECUTOR_UNAVAILABLE where the GPU or driver cannot run this library, otherwise
// EXECUTOR_FAILED: most errors of CUDA are sticky, so that every later call of the process fails too.
executor::Failure CudaFailure(cudaError_t error, const char* what);

inline void Check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw CudaFailure(error, what);
}

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_CHECK_H_
