#include "native/embedded/cuda/device.h"

#include <cuda_runtime_api.h>

#include <cstdio>

#include "native/embedded/cuda/check.h"
#include "native/embedded/cuda/driver.h"
#include "native/embedded/cuda/probe.h"

namespace embedded::cuda {
namespace {

using executor::Failure;

constexpr int kOldestArchitecture = 75;          // Turing, the oldest that CUDA 13 compiles for
constexpr int kOldestBfloat16Architecture = 80;  // Ampere

// "GPU-" or "MIG-", then 8-4-4-4-12 hexadecimal digits.
std::string UuidText(const cudaUUID_t& uuid, bool mig) {
  std::string text = mig ? "MIG" : "GPU";
  for (int i = 0; i < 16; ++i) {
    char digits[4];
    std::snprintf(digits, sizeof(digits), "%02x", static_cast<unsigned char>(uuid.bytes[i]));
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += digits;
  }
  return text;
}

Device Describe(int id) {
  cudaDeviceProp properties;
  Check(cudaGetDeviceProperties(&properties, id), "reading a GPU's properties");
  Device device;
  device.id = id;
  device.name = properties.name;
  device.uuid = UuidText(properties.uuid, device.is_mig());
  device.architecture = 10 * properties.major + properties.minor;
  device.multiprocessors = properties.multiProcessorCount;
  device.memory_bytes = properties.totalGlobalMem;
  Check(cudaDriverGetVersion(&device.driver_cuda), "reading the driver's version");
  return device;
}

}  // namespace

std::string Device::architecture_text() const {
  return std::to_string(architecture / 10) + "." + std::to_string(architecture % 10);
}

std::vector<Device> FindDevices() {
  CheckDriver(AskDriver());
  int count = 0;
  Check(cudaGetDeviceCount(&count), "counting GPUs");
  std::vector<Device> devices;
  for (int id = 0; id < count; ++id) devices.push_back(Describe(id));
  return devices;
}

const Device& DeviceOf(const std::vector<Device>& devices, int id) {
  if (id < 0 || static_cast<size_t>(id) >= devices.size()) {
    std::string names;
    for (const Device& device : devices)
      names += (names.empty() ? "" : ", ") + std::to_string(device.id) + " (" + device.name + ")";
    throw executor::OptionFailure(EXECUTOR_INVALID_OPTION, "parallel.device_ids",
                                  " has " + std::to_string(id) + "; expected one of " + names +
                                      ". Check CUDA_VISIBLE_DEVICES, which renumbers GPUs.");
  }
  return devices[static_cast<size_t>(id)];
}

Device OpenDevice(int id) {
  const std::vector<Device> devices = FindDevices();
  const Device& device = DeviceOf(devices, id);
  CheckDevice(device, Element::kFloat16);
  Check(cudaSetDevice(id), "opening the GPU");
  Check(ProbeKernel(), "looking for machine code for this GPU");
  return device;
}

void CheckDevice(const Device& device, Element type) {
  const std::string found = device.name + " (" + device.uuid + ") has compute capability " + device.architecture_text();
  if (device.architecture < kOldestArchitecture)
    throw Failure(EXECUTOR_UNAVAILABLE,
                  found + "; expected 7.5 or newer. Use another GPU (parallel.deviceIds), or executor: 'cpu'.");
  if (type == Element::kBfloat16 && device.architecture < kOldestBfloat16Architecture)
    throw Failure(EXECUTOR_MODEL_UNSUPPORTED, found +
                                                  ", and the engine's data type is bfloat16; expected 8.0 or newer. " +
                                                  "Convert the model again with dtype: 'float16'.");
}

MemoryInfo DeviceMemory() {
  MemoryInfo info{};
  Check(cudaMemGetInfo(&info.free_bytes, &info.total_bytes), "reading how much memory the GPU has");
  return info;
}

}  // namespace embedded::cuda
