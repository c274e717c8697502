// How every kernel here is started, and the one way in which that fails.
#ifndef EMBEDDED_CUDA_LAUNCH_H_
#define EMBEDDED_CUDA_LAUNCH_H_

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace embedded::cuda {

// A kernel that could not be started, or an earlier one that failed and is noticed only now.
class KernelError : public std::runtime_error {
 public:
  KernelError(cudaError_t status, const std::string& what)
      : std::runtime_error(what + ": " + cudaGetErrorString(status)), status_(status) {}
  cudaError_t status() const { return status_; }

 private:
  cudaError_t status_;
};

inline void CheckKernel(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw KernelError(status, what);
}

// What a launcher needs to know of the current device. Read once for each device.
struct DeviceTraits {
  int compute_capability;  // 10 * major + minor
  int multiprocessors;
  int shared_memory_per_block;           // bytes, with the opt-in
  int shared_memory_per_multiprocessor;  // bytes
};
const DeviceTraits& CurrentDeviceTraits();

struct Grid {
  dim3 blocks;
  dim3 threads;
  size_t shared_memory = 0;  // bytes
};

// Programmatic dependent launch (sm_90 on): the kernel may be set up while the one before it still runs, which hides the
// gap between two kernels. Hence the rule: every kernel calls WaitForPredecessor (device.cuh) before it reads or writes
// anything in global memory.
template <typename... Parameters, typename... Arguments>
void Launch(const char* name, void (*kernel)(Parameters...), const Grid& grid, cudaStream_t stream,
            Arguments&&... arguments) {
  if (grid.blocks.x == 0 || grid.blocks.y == 0 || grid.blocks.z == 0) return;
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid.blocks;
  config.blockDim = grid.threads;
  config.dynamicSmemBytes = grid.shared_memory;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = CurrentDeviceTraits().compute_capability >= 90 ? 1 : 0;
  CheckKernel(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...), name);
}

// Lets the kernel have more than 48 KB of dynamic shared memory on the current device. What was allowed once stays so: another thread
// may be about to launch the kernel with it. Cheap enough to be called before each launch.
void AllowSharedMemory(const void* kernel, size_t bytes);
template <typename... Parameters>
void AllowSharedMemory(void (*kernel)(Parameters...), size_t bytes) {
  AllowSharedMemory(reinterpret_cast<const void*>(kernel), bytes);
}

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_LAUNCH_H_
