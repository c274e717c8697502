// Whether this library has code that the calling thread's GPU can run.
#ifndef EMBEDDED_CUDA_PROBE_H_
#define EMBEDDED_CUDA_PROBE_H_

#include <cuda_runtime_api.h>

namespace embedded::cuda {

cudaError_t ProbeKernel();

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_PROBE_H_
