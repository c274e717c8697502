#include "native/embedded/cuda/driver.h"

#include <dlfcn.h>

#include "native/executor/cpp/failure.h"

namespace embedded::cuda {
namespace {

constexpr int kNoDevice = 100;        // CUDA_ERROR_NO_DEVICE
constexpr int kDriverMismatch = 803;  // CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
constexpr char kDriverLibrary[] = "libcuda.so.1";
constexpr char kInstallDriver[] = "Install NVIDIA's driver 580 or newer. In a container, run it with GPU access.";

std::string VersionText(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

template <typename Function>
Function Find(void* library, const char* name) {
  return reinterpret_cast<Function>(dlsym(library, name));
}

}  // namespace

DriverAnswers AskDriver() {
  DriverAnswers answers;
  void* const library = dlopen(kDriverLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const error = dlerror();
    answers.open_error = error == nullptr ? "unknown error" : error;
    return answers;
  }
  const auto init = Find<int (*)(unsigned)>(library, "cuInit");
  const auto version = Find<int (*)(int*)>(library, "cuDriverGetVersion");
  const auto count = Find<int (*)(int*)>(library, "cuDeviceGetCount");
  const auto name = Find<int (*)(int, const char**)>(library, "cuGetErrorName");
  if (init == nullptr || version == nullptr || count == nullptr || name == nullptr) {
    answers.open_error = std::string(kDriverLibrary) + " lacks functions of CUDA's driver";
    return answers;
  }
  version(&answers.cuda_version);
  answers.init_result = init(0);
  if (answers.init_result != 0) {
    const char* text = nullptr;
    answers.init_error = name(answers.init_result, &text) == 0 && text != nullptr ? text : "unknown";
    return answers;
  }
  count(&answers.devices);
  return answers;
}

void CheckDriver(const DriverAnswers& answers) {
  const auto unavailable = [](const std::string& message) { return executor::Failure(EXECUTOR_UNAVAILABLE, message); };
  if (answers.open_error)
    throw unavailable("NVIDIA's driver library could not be opened (" + *answers.open_error + "); expected " +
                      kDriverLibrary + ". " + kInstallDriver);
  if (answers.cuda_version > 0 && answers.cuda_version < kOldestDriverCuda)
    throw unavailable("NVIDIA's driver runs CUDA up to " + VersionText(answers.cuda_version) + "; expected " +
                      VersionText(kOldestDriverCuda) + " or newer. " + kInstallDriver);
  if (answers.init_result == kDriverMismatch)
    throw unavailable(
        "NVIDIA's driver library and kernel module have different versions; expected the same. Restart the machine "
        "after the driver was updated.");
  const bool none = answers.init_result == kNoDevice || (answers.init_result == 0 && answers.devices == 0);
  if (none)
    throw unavailable(
        "NVIDIA's driver finds no GPU; expected at least one. Check nvidia-smi and CUDA_VISIBLE_DEVICES.");
  if (answers.init_result != 0)
    throw unavailable("NVIDIA's driver could not start (cuInit: " + answers.init_error + "); expected success. " +
                      "Check nvidia-smi; if it fails too, restart the machine or install the driver again.");
}

}  // namespace embedded::cuda
