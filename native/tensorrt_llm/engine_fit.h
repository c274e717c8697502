// Whether an engine fits the GPUs its ranks are to run on. What TensorRT-LLM says where it does not is hard to read, and in
// a rank's own process it is the end of that process.
#ifndef ADAPTER_ENGINE_FIT_H_
#define ADAPTER_ENGINE_FIT_H_

#include <optional>
#include <string>
#include <vector>

#include "native/executor/config.h"
#include "native/tensorrt_llm/devices.h"
#include "native/tensorrt_llm/engine.h"

namespace adapter {

// The ids of the GPUs that the ranks on this machine use, by rank.
std::vector<int> RankDevices(const Engine& engine, const ExecutorParallelConfig& parallel);

// Throws executor::Failure: EXECUTOR_INVALID_OPTION for a device id that is none, EXECUTOR_ENGINE_RANKS for too few GPUs,
// EXECUTOR_UNAVAILABLE for a GPU that this version of TensorRT-LLM does not run on, EXECUTOR_MODEL_UNSUPPORTED for a precision
// that a GPU lacks, EXECUTOR_OUT_OF_MEMORY for a rank larger than its GPU.
void CheckFit(const Engine& engine, const ExecutorConfig& config, const std::vector<Device>& devices,
              const std::string& library_version);

// What may go wrong although the engine fits, for the log; empty: nothing.
std::string DoubtsOf(const Engine& engine, const std::vector<int>& rank_devices, const std::vector<Device>& devices);

// For people: "2 x NVIDIA A100-SXM4-80GB". Ids where the GPUs are not known.
std::string DeviceText(const std::vector<int>& rank_devices, const std::optional<std::vector<Device>>& devices);

}  // namespace adapter

#endif  // ADAPTER_ENGINE_FIT_H_
