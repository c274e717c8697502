#include "native/tensorrt_llm/engine_fit.h"

#include <algorithm>
#include <cstdio>
#include <set>

#include "native/executor/cpp/copy_sized.h"
#include "native/executor/cpp/failure.h"
#include "native/tensorrt_llm/mpi.h"

namespace adapter {
namespace {

using executor::Failure;

constexpr int kTuring = 75;
constexpr int kAmpere = 80;
constexpr int kAda = 89;
constexpr int kBlackwell = 100;

// What a kind of quantization, known by how its name begins, needs at least. Of the support matrices of TensorRT-LLM; the
// rest runs on every GPU that TensorRT-LLM does. An FP8 KV cache alone is not among them: older GPUs convert it.
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

std::string Count(size_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

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
      throw executor::OptionFailure(EXECUTOR_INVALID_OPTION, "parallel.device_ids",
                                    " names " + std::to_string(id) + why);
    };
    if (id < 0 || static_cast<size_t>(id) >= device_count)
      refuse("; this machine has " + Count(device_count, "GPU") + ", counted from 0" + VisibleDevices() +
             ". Name one of these");
    if (!seen.insert(id).second) refuse(" twice; each rank needs a GPU of its own. Name each once");
    if (id >= engine.gpus_per_node)
      refuse("; the engine was built for machines of " + Count(engine.gpus_per_node, "GPU") +
             " (mapping.gpus_per_node). Name a lower id, or bring the GPU to the front by CUDA_VISIBLE_DEVICES");
  }
}

void CheckGeneration(int id, const Device& device, const std::string& library_version) {
  const int version = MinorVersion(library_version);
  const std::string found = Named(id, device) + "; TensorRT-LLM here is " + library_version;
  if (device.compute_capability < kTuring)
    throw Failure(EXECUTOR_UNAVAILABLE, found +
                                            ", which needs 8.0 (Ampere) or, up to 0.14, 7.5 (Turing). Use a later GPU, "
                                            "or executor: 'cpu' with the checkpoint");
  if (device.compute_capability < kAmpere && version > 14)
    throw Failure(EXECUTOR_UNAVAILABLE, found +
                                            ", and 0.14 is the last that runs on Turing. Install tensorrt_llm "
                                            "0.13.0, run npx node-tensorrt-llm setup, and build the engine with it");
  if (device.compute_capability >= kBlackwell && version < 17)
    throw Failure(EXECUTOR_UNAVAILABLE, found +
                                            ", and 0.17 is the first that runs on Blackwell. Install a later one, run "
                                            "npx node-tensorrt-llm setup, and build the engine with it");
}

void CheckPrecision(int id, const Device& device, const std::string& field, int needed) {
  if (device.compute_capability >= needed) return;
  throw Failure(EXECUTOR_MODEL_UNSUPPORTED,
                "pretrained_config." + field + ", which needs compute capability " + Point(needed) + " or later; " +
                    Named(id, device) +
                    ". Convert the checkpoint in another precision and build the engine again, or use a later GPU");
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
    throw Failure(EXECUTOR_ENGINE_RANKS, "the engine has " + Count(ids.size(), "rank") +
                                             ", each of which needs a GPU of its own; this machine has " +
                                             Count(devices.size(), "GPU") + VisibleDevices() +
                                             ". Build the engine from a checkpoint of fewer ranks (--tp_size), or "
                                             "load it where there are more GPUs");
  for (const int id : ids) {
    const Device& device = devices[id];
    CheckDevice(engine, id, device, library_version);
    // Some of the weights may be left in host memory.
    const bool streams_weights = (config.set & CONFIG_GPU_WEIGHTS_FRACTION) != 0;
    if (!streams_weights && engine.largest_rank_bytes > device.memory_bytes)
      throw Failure(EXECUTOR_OUT_OF_MEMORY, engine.dir + " has a rank of " + Gigabytes(engine.largest_rank_bytes) +
                                                "; GPU " + std::to_string(id) + " (" + device.name + ") has " +
                                                Gigabytes(device.memory_bytes) +
                                                ". Build the engine from a checkpoint of more ranks (--tp_size), or "
                                                "quantized");
  }
}

std::string DoubtsOf(const Engine& engine, const std::vector<int>& rank_devices, const std::vector<Device>& devices) {
  if (!StartsWith(engine.quant_algo, "W8A16") && !StartsWith(engine.quant_algo, "W4A16")) return "";
  for (const int id : rank_devices)
    if (devices[id].compute_capability == kTuring)
      return Named(id, devices[id]) + ", for which the wheels of TensorRT-LLM hold no code of " + engine.quant_algo +
             ": if its answers are wrong, build the engine in float16, or TensorRT-LLM with 75-real";
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
