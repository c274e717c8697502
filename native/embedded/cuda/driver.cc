#include "native/embedded/cuda/driver.h"

#include <dlfcn.h>

#include <array>
#include <cstdio>

#include "native/executor/cpp/failure.h"

namespace embedded::cuda {
namespace {

constexpr int kNoDevice = 100;        // CUDA_ERROR_NO_DEVICE
constexpr int kDriverMismatch = 803;  // CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
constexpr char kDriverLibrary[] = "libcuda.so.1";
constexpr char kInstallDriver[] = "Install NVIDIA's driver 580 or newer. In a container, run it with GPU access.";

constexpr int kMultiprocessors = 16;  // CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT
constexpr int kCapabilityMajor = 75;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
constexpr int kCapabilityMinor = 76;

struct Refusal {
  std::string function;
  int result;
};

// The numbers and types of CUDA's driver interface, which do not change; nothing of CUDA is compiled in.
class Driver {
 public:
  explicit Driver(void* library) : library_(library) {}

  // The arguments must have the very types of the function's parameters.
  template <typename... Arguments>
  void Call(const char* function, Arguments... arguments) const {
    constexpr int kNotFound = 500;  // CUDA_ERROR_NOT_FOUND
    const auto call = reinterpret_cast<int (*)(Arguments...)>(dlsym(library_, function));
    const int result = call == nullptr ? kNotFound : call(arguments...);
    if (result != 0) throw Refusal{function, result};
  }
  int Attribute(int attribute, int handle) const {
    int value = 0;
    Call("cuDeviceGetAttribute", &value, attribute, handle);
    return value;
  }
  // Not where it cannot be asked, either: one GPU alone may still run.
  bool CanAccess(int from, int to) const {
    int from_handle = 0, to_handle = 0, can = 0;
    try {
      Call("cuDeviceGet", &from_handle, from);
      Call("cuDeviceGet", &to_handle, to);
      Call("cuDeviceCanAccessPeer", &can, from_handle, to_handle);
    } catch (const Refusal&) {
      return false;
    }
    return can != 0;
  }
  std::string NameOf(int result) const {
    const auto name = reinterpret_cast<int (*)(int, const char**)>(dlsym(library_, "cuGetErrorName"));
    const char* text = nullptr;
    return name != nullptr && name(result, &text) == 0 && text != nullptr ? text : std::to_string(result);
  }

 private:
  void* library_;
};

// "GPU-" or "MIG-", then 8-4-4-4-12 hexadecimal digits.
std::string UuidText(const std::array<unsigned char, 16>& uuid, bool mig) {
  std::string text = mig ? "MIG" : "GPU";
  for (size_t i = 0; i < uuid.size(); ++i) {
    char digits[4];
    std::snprintf(digits, sizeof(digits), "%02x", uuid[i]);
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += digits;
  }
  return text;
}

Device Describe(const Driver& driver, int id) {
  Device device;
  device.id = id;
  int handle = 0;
  driver.Call("cuDeviceGet", &handle, id);
  std::array<char, 256> name{};
  driver.Call("cuDeviceGetName", name.data(), static_cast<int>(name.size()), handle);
  device.name = name.data();
  std::array<unsigned char, 16> uuid{};
  driver.Call("cuDeviceGetUuid_v2", static_cast<void*>(uuid.data()), handle);
  device.uuid = UuidText(uuid, device.is_mig());
  device.architecture = 10 * driver.Attribute(kCapabilityMajor, handle) + driver.Attribute(kCapabilityMinor, handle);
  device.multiprocessors = driver.Attribute(kMultiprocessors, handle);
  driver.Call("cuDeviceTotalMem_v2", &device.memory_bytes, handle);
  return device;
}

}  // namespace

std::string CudaVersionText(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

DriverAnswers AskDriver() {
  DriverAnswers answers;
  void* const library = dlopen(kDriverLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const error = dlerror();
    answers.open_error = error == nullptr ? "unknown error" : error;
    return answers;
  }
  const Driver driver(library);
  try {
    driver.Call("cuDriverGetVersion", &answers.cuda_version);
    if (answers.cuda_version < kOldestDriverCuda) return answers;
    driver.Call("cuInit", 0u);
    int count = 0;
    driver.Call("cuDeviceGetCount", &count);
    for (int id = 0; id < count; ++id) {
      answers.devices.push_back(Describe(driver, id));
      answers.devices.back().driver_cuda = answers.cuda_version;
    }
    answers.peers.resize(answers.devices.size());
    for (int from = 0; from < count; ++from)
      for (int to = 0; to < count; ++to)
        if (from != to && driver.CanAccess(from, to)) answers.peers[static_cast<size_t>(from)].push_back(to);
  } catch (const Refusal& refusal) {
    answers.result = refusal.result;
    answers.error = refusal.function + ": " + driver.NameOf(refusal.result);
  }
  return answers;
}

void CheckDriver(const DriverAnswers& answers) {
  const auto unavailable = [](const std::string& message) { return executor::Failure(EXECUTOR_UNAVAILABLE, message); };
  if (answers.open_error)
    throw unavailable("NVIDIA's driver library could not be opened (" + *answers.open_error + "); expected " +
                      kDriverLibrary + ". " + kInstallDriver);
  if (answers.result == 0 && answers.cuda_version < kOldestDriverCuda)
    throw unavailable("NVIDIA's driver runs CUDA up to " + CudaVersionText(answers.cuda_version) + "; expected " +
                      CudaVersionText(kOldestDriverCuda) + " or newer. " + kInstallDriver);
  if (answers.result == kDriverMismatch)
    throw unavailable(
        "NVIDIA's driver library and kernel module have different versions; expected the same. Restart the machine "
        "after the driver was updated.");
  const bool none = answers.result == kNoDevice || (answers.result == 0 && answers.devices.empty());
  if (none)
    throw unavailable(
        "NVIDIA's driver finds no GPU; expected at least one. Check nvidia-smi and CUDA_VISIBLE_DEVICES.");
  if (answers.result != 0)
    throw unavailable("NVIDIA's driver could not start (" + answers.error + "); expected success. " +
                      "Check nvidia-smi; if it fails too, restart the machine or install the driver again.");
}

}  // namespace embedded::cuda
