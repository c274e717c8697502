#include "native/tensorrt_llm/devices.h"

#include <dlfcn.h>

#include <cstdlib>

#include "native/executor/cpp/failure.h"

namespace adapter {
namespace {

using executor::Failure;

// Of the CUDA driver API, whose numbers do not change: https://docs.nvidia.com/cuda/cuda-driver-api
constexpr char kDriver[] = "libcuda.so.1";
constexpr int kNoDevice = 100;
constexpr int kCapabilityMajor = 75;
constexpr int kCapabilityMinor = 76;
using Handle = int;  // CUdevice

[[noreturn]] void Fail(const char* function, int result) {
  const std::string found = result == kNoDevice ? "NVIDIA's driver found no GPU" + VisibleDevices()
                                                : "NVIDIA's driver failed: " + std::string(function) +
                                                      " returned error " + std::to_string(result);
  throw Failure(EXECUTOR_UNAVAILABLE,
                found +
                    "; expected a GPU, which TensorRT-LLM needs. Check that nvidia-smi shows it: start "
                    "a container with --gpus all, restart the machine after a driver update.");
}

class Driver {
 public:
  explicit Driver(void* library) : library_(library) {}

  // The arguments must have the very types of the function's parameters.
  template <typename... Arguments>
  void Call(const char* function, Arguments... arguments) const {
    const auto call = reinterpret_cast<int (*)(Arguments...)>(dlsym(library_, function));
    if (call == nullptr)
      throw Failure(EXECUTOR_UNAVAILABLE,
                    std::string(kDriver) + " exports no " + function + ". Reinstall NVIDIA's driver.");
    if (const int result = call(arguments...); result != 0) Fail(function, result);
  }
  int Attribute(int attribute, Handle handle) const {
    int value = 0;
    Call("cuDeviceGetAttribute", &value, attribute, handle);
    return value;
  }

 private:
  void* library_;
};

}  // namespace

std::string VisibleDevices() {
  const char* const visible = std::getenv("CUDA_VISIBLE_DEVICES");
  return visible == nullptr ? "" : " (CUDA_VISIBLE_DEVICES is \"" + std::string(visible) + "\")";
}

std::optional<std::vector<Device>> FindDevices() {
  void* const library = dlopen(kDriver, RTLD_NOW | RTLD_LOCAL);  // left open: TensorRT-LLM uses it too
  if (library == nullptr) return std::nullopt;
  const Driver driver(library);
  driver.Call("cuInit", 0u);
  int count = 0;
  driver.Call("cuDeviceGetCount", &count);
  if (count == 0) Fail("cuDeviceGetCount", kNoDevice);
  std::vector<Device> devices;
  for (int id = 0; id < count; ++id) {
    Handle handle;
    driver.Call("cuDeviceGet", &handle, id);
    char name[256] = "";
    driver.Call("cuDeviceGetName", &name[0], static_cast<int>(sizeof(name)), handle);
    size_t bytes = 0;
    driver.Call("cuDeviceTotalMem_v2", &bytes, handle);
    devices.push_back(
        {name, 10 * driver.Attribute(kCapabilityMajor, handle) + driver.Attribute(kCapabilityMinor, handle), bytes});
  }
  return devices;
}

}  // namespace adapter
