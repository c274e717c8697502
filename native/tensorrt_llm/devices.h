// The GPUs of this machine, asked of NVIDIA's driver.
#ifndef ADAPTER_DEVICES_H_
#define ADAPTER_DEVICES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace adapter {

struct Device {
  std::string name;
  int compute_capability;  // 10 * major + minor: 89 for 8.9
  uint64_t memory_bytes;
};

// In the order of their ids; CUDA_VISIBLE_DEVICES rules. None where there is no driver library to ask. No CUDA context is made, so
// that a process which only starts the ranks holds no GPU. Throws executor::Failure with EXECUTOR_UNAVAILABLE where the
// driver fails or finds no GPU.
std::optional<std::vector<Device>> FindDevices();

// For a message about GPUs that are not seen: " (CUDA_VISIBLE_DEVICES is ...)", or nothing where it is not set.
std::string VisibleDevices();

}  // namespace adapter

#endif  // ADAPTER_DEVICES_H_
