#include "native/embedded/cuda/device.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "native/embedded/cuda/check.h"
#include "native/embedded/cuda/cublaslt.h"
#include "native/embedded/cuda/driver.h"
#include "native/embedded/cuda/probe.h"

namespace embedded::cuda {
namespace {

using executor::Failure;

constexpr int kOldestArchitecture = 75;  // Turing, the oldest that CUDA 13 compiles for

// Machine code runs on later GPUs of its generation, PTX on all later ones; what ends in a letter is for one architecture alone.
bool RunsOn(const std::string& compiled, int architecture) {
  char* suffix = nullptr;
  const int compiled_for = static_cast<int>(std::strtol(compiled.c_str(), &suffix, 10));
  if (*suffix == 'a') return architecture == compiled_for;
  const bool is_ptx = *suffix == '-';
  return architecture >= compiled_for && (is_ptx || architecture / 10 == compiled_for / 10);
}

}  // namespace

std::string Device::architecture_text() const {
  return std::to_string(architecture / 10) + "." + std::to_string(architecture % 10);
}

std::vector<Device> FindDevices() {
  DriverAnswers answers = AskDriver();
  CheckDriver(answers);
  return std::move(answers.devices);
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
  CheckDevice(device);
  OpenCublasLt();  // where it is missing, no context is made
  Check(cudaSetDevice(id), "opening the GPU");
  Check(ProbeKernel(), "looking for machine code for this GPU");
  return device;
}

std::vector<std::string> CompiledArchitectures() {
  std::vector<std::string> architectures;
  std::istringstream list(COMPILED_ARCHITECTURES);
  for (std::string each; std::getline(list, each, ',');) architectures.push_back(each);
  return architectures;
}

void CheckDevice(const Device& device, const std::vector<std::string>& compiled) {
  const std::string found = device.name + " (" + device.uuid + ") has compute capability " + device.architecture_text();
  if (device.architecture < kOldestArchitecture)
    throw Failure(EXECUTOR_UNAVAILABLE,
                  found + "; expected 7.5 or newer. Use another GPU (parallel.deviceIds), or executor: 'cpu'.");
  const auto runs = [&](const std::string& each) { return RunsOn(each, device.architecture); };
  if (std::any_of(compiled.begin(), compiled.end(), runs)) return;
  std::string names;
  for (const std::string& each : compiled) names += (names.empty() ? "" : ", ") + each;
  throw Failure(EXECUTOR_UNAVAILABLE, found + ", for which this library has no code; it was built for " + names +
                                          ". Build it for all GPUs: npm run build:cuda. Or use executor: 'cpu'.");
}

MemoryInfo DeviceMemory() {
  MemoryInfo info{};
  Check(cudaMemGetInfo(&info.free_bytes, &info.total_bytes), "reading how much memory the GPU has");
  return info;
}

}  // namespace embedded::cuda
