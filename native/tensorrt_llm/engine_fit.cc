#include "native/tensorrt_llm/engine_fit.h"

#include <algorithm>
#include <cstdio>
#include <set>

#include "native/executor/cpp/copy_sized.h"
#include "native/executor/cpp/failure.h"
#include "native/tensorrt_llm/mpi.h"

namespace adapter {
namespace {

using executor::Count;
using executor::Failure;

constexpr int kTuring = 75;
constexpr int kAmpere = 80;
constexpr int kAda = 89;
constexpr int kBlackwell = 100;

// The least compute capability of a kind of quantization, which is known by the start of its name; from the support matrices
// of TensorRT-LLM. The other kinds run on every GPU that TensorRT-LLM runs on, and so does an FP8 KV cache by itself, which
// older GPUs convert.
struct Quantization {
  const char* algorithm;
  int compute_capability;
};
constexpr Quantization kQuantizations[] = {
    {"W8A8_SQ", kAmpere}, {"W4A8_QSERVE", kAmpere}, {"W4A8_AWQ", kAda},         {"FP8", kAda},
    {"FP4", kBlackwell},  {"NVFP4", kBlackwell},    {"W4A8_MXFP4", kBlackwell},
};

bool StartsWith(const std::string& text, const char* start) { return text.rfind(start, 0) == 0; }

std::string Point(int tenths) { return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10); }

std::string Gigabytes(uint64_t bytes) { return Point(static_cast<int>(bytes / 100'000'000)) + " GB"; }

// 100 * major + minor: 13 for 0.13.0, 102 for 1.2.1.
int MinorVersion(const std::string& version) {
  int major = 0;
  int minor = 0;
  std::sscanf(version.c_str(), "%d.%d", &major, &minor);
  return 100 * major + minor;
}

std::string Named(int id, const Device& device) {
  return "GPU " + std::to_string(id) + " is " + device.name + " of compute capability " +
         Point(device.compute_capability);
}

void CheckIds(const Engine& engine, const ExecutorParallelConfig& parallel, size_t device_count) {
  std::set<int> seen;
  for (uint32_t i = 0; i < parallel.device_id_count; ++i) {
    const int id = parallel.device_ids[i];
    const auto refuse = [&](const std::string& why) {
      throw executor::OptionFailure(EXECUTOR_INVALID_OPTION, "parallel.device_ids", " has " + std::to_string(id) + why);
    };
    if (id < 0 || static_cast<size_t>(id) >= device_count)
      refuse("; expected 0 to " + std::to_string(static_cast<int64_t>(device_count) - 1) +
             ", because this machine has " + Count(device_count, "GPU") + VisibleDevices() + ".");
    if (!seen.insert(id).second) refuse(" twice; expected it once, because each rank needs a GPU of its own.");
    if (id >= engine.gpus_per_node)
      refuse("; expected 0 to " + std::to_string(engine.gpus_per_node - 1) + ", because the engine was built for " +
             "machines of " + Count(engine.gpus_per_node, "GPU") +
             " (mapping.gpus_per_node). Use a lower id, or renumber the GPUs with CUDA_VISIBLE_DEVICES.");
  }
}

void CheckGeneration(int id, const Device& device, const std::string& library_version) {
  const int version = MinorVersion(library_version);
  const std::string found = "TensorRT-LLM is " + library_version + ", and " + Named(id, device);
  if (device.compute_capability < kTuring)
    throw Failure(EXECUTOR_UNAVAILABLE, Named(id, device) +
                                            "; expected 8.0 (Ampere) or newer, or 7.5 (Turing) with TensorRT-LLM up to "
                                            "0.14. Use a newer GPU, or executor: 'cpu' with the checkpoint.");
  if (device.compute_capability < kAmpere && version > 14)
    throw Failure(EXECUTOR_UNAVAILABLE, found +
                                            "; expected up to 0.14, the last that runs on Turing. Install tensorrt_llm "
                                            "0.13.0, run npx node-tensorrt-llm setup, and build the engine with it.");
  if (device.compute_capability >= kBlackwell && version < 17)
    throw Failure(EXECUTOR_UNAVAILABLE,
                  found +
                      "; expected 0.17 or newer, for Blackwell. Install it, run npx node-tensorrt-llm "
                      "setup, and build the engine with it.");
}

void CheckPrecision(int id, const Device& device, const std::string& field, int needed) {
  if (device.compute_capability >= needed) return;
  throw Failure(EXECUTOR_MODEL_UNSUPPORTED,
                Named(id, device) + "; expected " + Point(needed) + " or newer, because pretrained_config." + field +
                    ". Convert the checkpoint to another precision and build the engine again, or use a newer GPU.");
}

void CheckDevice(const Engine& engine, int id, const Device& device, const std::string& library_version) {
  CheckGeneration(id, device, library_version);
  if (engine.dtype == "bfloat16") CheckPrecision(id, device, "dtype is bfloat16", kAmpere);
  for (const Quantization& each : kQuantizations)
    if (StartsWith(engine.quant_algo, each.algorithm))
      CheckPrecision(id, device, "quantization.quant_algo is " + engine.quant_algo, each.compute_capability);
}

}  // namespace

std::vector<int> RankDevices(const Engine& engine, const ExecutorParallelConfig& parallel) {
  const int nodes = parallel.set & PARALLEL_NODES ? std::max<int>(1, parallel.nodes) : 1;
  const int ranks = MpirunProcesses() > 1  // mpirun has started this process and others
                        ? std::min(engine.world_size(), MpirunProcessesHere())
                        : (engine.world_size() + nodes - 1) / nodes;
  std::vector<int> ids;
  for (int rank = 0; rank < ranks; ++rank)
    ids.push_back(parallel.device_id_count > 0 ? parallel.device_ids[rank % parallel.device_id_count] : rank);
  return ids;
}

void CheckFit(const Engine& engine, const ExecutorConfig& config, const std::vector<Device>& devices,
              const std::string& library_version) {
  const ExecutorParallelConfig parallel = executor::CopySized(config.parallel);
  CheckIds(engine, parallel, devices.size());
  const std::vector<int> ids = RankDevices(engine, parallel);
  if (ids.size() > devices.size())
    throw Failure(EXECUTOR_ENGINE_RANKS, "This machine has " + Count(devices.size(), "GPU") + VisibleDevices() +
                                             "; expected one for each of the engine's " + Count(ids.size(), "rank") +
                                             ". Build the engine from a checkpoint of fewer ranks (--tp_size), or "
                                             "load it on a machine with more GPUs.");
  for (const int id : ids) {
    const Device& device = devices[id];
    CheckDevice(engine, id, device, library_version);
    // With gpuWeightsFraction, part of the weights stays in host memory.
    const bool streams_weights = (config.set & CONFIG_GPU_WEIGHTS_FRACTION) != 0;
    if (!streams_weights && engine.largest_rank_bytes > device.memory_bytes)
      throw Failure(EXECUTOR_OUT_OF_MEMORY,
                    "GPU " + std::to_string(id) + " (" + device.name + ") has " + Gigabytes(device.memory_bytes) +
                        "; expected at least " + Gigabytes(engine.largest_rank_bytes) + ", the size of a rank of " +
                        engine.dir +
                        ". Build the engine from a checkpoint of more ranks (--tp_size), or from a quantized one.");
  }
}

std::string DoubtsOf(const Engine& engine, const std::vector<int>& rank_devices, const std::vector<Device>& devices) {
  if (!StartsWith(engine.quant_algo, "W8A16") && !StartsWith(engine.quant_algo, "W4A16")) return "";
  for (const int id : rank_devices)
    if (devices[id].compute_capability == kTuring)
      return Named(id, devices[id]) + ", for which the wheels of TensorRT-LLM have no code for " + engine.quant_algo +
             ". If the output is wrong, build the engine in float16, or build TensorRT-LLM for 75-real.";
  return "";
}

std::string DeviceText(const std::vector<int>& rank_devices, const std::optional<std::vector<Device>>& devices) {
  std::string text;
  if (!devices) {
    for (const int id : rank_devices) text += (text.empty() ? "" : ", ") + std::to_string(id);
    return (rank_devices.size() == 1 ? "GPU " : "GPUs ") + text;
  }
  std::vector<std::pair<std::string, size_t>> counts;  // in the order of ranks
  for (const int id : rank_devices) {
    const std::string& name = (*devices)[id].name;
    const auto known = std::find_if(counts.begin(), counts.end(), [&](const auto& each) { return each.first == name; });
    if (known == counts.end())
      counts.emplace_back(name, 1);
    else
      ++known->second;
  }
  for (const auto& [name, count] : counts)
    text += (text.empty() ? "" : ", ") + (count > 1 ? std::to_string(count) + " x " : "") + name;
  return text;
}

}  // namespace adapter
