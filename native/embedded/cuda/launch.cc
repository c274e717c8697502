#include "native/embedded/cuda/launch.h"

#include <array>
#include <mutex>

namespace embedded::cuda {
namespace {

constexpr int kMaxDevices = 64;

DeviceTraits ReadTraits(int device) {
  const auto read = [device](cudaDeviceAttr attribute) {
    int value = 0;
    CheckKernel(cudaDeviceGetAttribute(&value, attribute, device), "reading a device attribute");
    return value;
  };
  return {10 * read(cudaDevAttrComputeCapabilityMajor) + read(cudaDevAttrComputeCapabilityMinor),
          read(cudaDevAttrMultiProcessorCount), read(cudaDevAttrMaxSharedMemoryPerBlockOptin),
          read(cudaDevAttrMaxSharedMemoryPerMultiprocessor)};
}

}  // namespace

const DeviceTraits& CurrentDeviceTraits() {
  static std::array<DeviceTraits, kMaxDevices> traits;
  static std::array<std::once_flag, kMaxDevices> once;
  int device = 0;
  CheckKernel(cudaGetDevice(&device), "asking for the current device");
  const size_t index = static_cast<size_t>(device) % kMaxDevices;
  std::call_once(once[index], [&] { traits[index] = ReadTraits(device); });
  return traits[index];
}

}  // namespace embedded::cuda
