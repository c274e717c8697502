// The GPUs that CUDA shows this process, and what this library asks of one.
#ifndef EMBEDDED_CUDA_DEVICE_H_
#define EMBEDDED_CUDA_DEVICE_H_

#include <cstddef>
#include <string>
#include <vector>

namespace embedded::cuda {

struct Device {
  int id = 0;               // as CUDA counts, after CUDA_VISIBLE_DEVICES
  std::string name;         // "NVIDIA H200"; a part of a GPU says which: "NVIDIA H200 MIG 1g.18gb"
  std::string uuid;         // "GPU-..." or "MIG-...", as nvidia-smi -L prints it
  int architecture = 0;     // 10 * major + minor: 90 for compute capability 9.0
  int multiprocessors = 0;  // the grid of a persistent kernel
  size_t memory_bytes = 0;
  int driver_cuda = 0;  // 1000 * major + 10 * minor

  bool is_mig() const { return name.find(" MIG ") != std::string::npos; }
  std::string architecture_text() const;  // "9.0"
};

// All of them, in CUDA's order. Throws as CheckDriver does. Makes no CUDA context.
std::vector<Device> FindDevices();

// The device `id`. Throws executor::Failure with EXECUTOR_INVALID_OPTION, about parallel.device_ids, if there is none.
const Device& DeviceOf(const std::vector<Device>& devices, int id);

// Makes device `id` the calling thread's, and creates its context. Throws executor::Failure as DeviceOf, CheckDevice and
// OpenCublasLt do.
Device OpenDevice(int id);

// What this library was compiled for: "80", "90a" for machine code, "90-virtual" for PTX.
std::vector<std::string> CompiledArchitectures();

// Throws executor::Failure with EXECUTOR_UNAVAILABLE where the GPU is older than any this library is made for, or where none of
// what it was `compiled` for runs on it.
void CheckDevice(const Device& device, const std::vector<std::string>& compiled = CompiledArchitectures());

struct MemoryInfo {
  size_t free_bytes;
  size_t total_bytes;
};
MemoryInfo DeviceMemory();  // of the calling thread's device

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_DEVICE_H_
