// NVIDIA's driver, asked before the CUDA runtime is touched, so that a machine without one gets an answer that helps.
#ifndef EMBEDDED_CUDA_DRIVER_H_
#define EMBEDDED_CUDA_DRIVER_H_

#include <optional>
#include <string>
#include <vector>

#include "native/embedded/cuda/device.h"

namespace embedded::cuda {

constexpr int kOldestDriverCuda = 13000;  // as cuDriverGetVersion counts: 1000 * major + 10 * minor

// What libcuda.so.1 answered.
struct DriverAnswers {
  std::optional<std::string> open_error;  // why the library could not be opened
  int cuda_version = 0;                   // the newest CUDA that the driver runs; of one too old, nothing else is asked
  int result = 0;                         // of the first call that failed; 0 is success
  std::string error;                      // "cuInit: CUDA_ERROR_UNKNOWN"
  std::vector<Device> devices;            // in the driver's order, which is the runtime's
  std::vector<std::vector<int>> peers;    // by device: whose memory its kernels can read
};

// Opens the library, which stays open. Makes no CUDA context.
DriverAnswers AskDriver();

// Throws executor::Failure with EXECUTOR_UNAVAILABLE where these answers mean that CUDA 13 cannot run.
void CheckDriver(const DriverAnswers& answers);

std::string CudaVersionText(int version);  // "13.0"

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_DRIVER_H_
