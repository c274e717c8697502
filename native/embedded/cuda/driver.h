// NVIDIA's driver, asked before the CUDA runtime is touched, so that a machine without one gets an answer that helps.
#ifndef EMBEDDED_CUDA_DRIVER_H_
#define EMBEDDED_CUDA_DRIVER_H_

#include <optional>
#include <string>

namespace embedded::cuda {

constexpr int kOldestDriverCuda = 13000;  // as cuDriverGetVersion counts: 1000 * major + 10 * minor

// What libcuda.so.1 answered.
struct DriverAnswers {
  std::optional<std::string> open_error;  // why the library could not be opened
  int init_result = 0;                    // of cuInit; 0 is success
  std::string init_error;                 // its name
  int cuda_version = 0;                   // the newest CUDA that the driver runs
  int devices = 0;
};

// Opens the library, which stays open. Makes no CUDA context.
DriverAnswers AskDriver();

// Throws executor::Failure with EXECUTOR_UNAVAILABLE where these answers mean that CUDA 13 cannot run.
void CheckDriver(const DriverAnswers& answers);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_DRIVER_H_
