#include "native/embedded/cuda/launch.h"

#include <array>
#include <map>
#include <mutex>
#include <utility>

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

void AllowSharedMemory(const void* kernel, size_t bytes) {
  constexpr size_t kAllowedToAll = 47 * 1024;  // the rest of 48 KB is for shared memory that a kernel declares itself
  if (bytes <= kAllowedToAll) return;
  int device = 0;
  CheckKernel(cudaGetDevice(&device), "asking for the current device");
  static std::mutex* const mutex =
      new std::mutex;  // neither is destroyed: threads may still run after static destructors
  static auto* const allowed = new std::map<std::pair<int, const void*>, size_t>;
  const std::lock_guard<std::mutex> lock(*mutex);
  size_t& most = (*allowed)[{device, kernel}];
  if (bytes <= most) return;
  CheckKernel(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
              "shared memory for a kernel");
  most = bytes;
}

}  // namespace embedded::cuda
