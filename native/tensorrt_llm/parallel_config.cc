#include "tensorrt_llm/parallel_config.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "executor/guard.h"

namespace adapter {
namespace {

using executor::Failure;

// How many processes mpirun has started together with this one; 0: it has not started this one.
int MpirunProcesses() {
  const char* size = std::getenv("OMPI_COMM_WORLD_SIZE");
  return size == nullptr ? 0 : std::atoi(size);
}

std::string Ranks(int count) { return std::to_string(count) + (count == 1 ? " rank" : " ranks"); }

std::string WorkerPath(const ExecutorParallelConfig& given, const std::string& library_dir) {
  // Where a wheel has it.
  const std::string path = given.worker_path != nullptr
                               ? given.worker_path
                               : (std::filesystem::path(library_dir).parent_path() / "bin" / "executorWorker").string();
  if (access(path.c_str(), X_OK) != 0)
    throw Failure(EXECUTOR_UNAVAILABLE, path +
                                            " is no program that can be run; it must be TensorRT-LLM's executorWorker, "
                                            "which runs the ranks. Give its path, or install the whole wheel");
  return path;
}

void CheckDevices(const ExecutorParallelConfig& given, const Engine& engine) {
  if (given.device_id_count == 0) return;
  const uint32_t nodes = given.set & PARALLEL_NODES ? given.nodes : 1;
  if (given.device_id_count * nodes == static_cast<uint32_t>(engine.world_size())) return;
  throw Failure(EXECUTOR_ENGINE_RANKS, "parallel.device_ids names " + std::to_string(given.device_id_count) +
                                           " devices on " + std::to_string(nodes) + " node(s); the engine has " +
                                           Ranks(engine.world_size()) + ". Name one device for each");
}

}  // namespace

tle::ParallelConfig MakeParallel(const ExecutorParallelConfig& given, const Engine& engine,
                                 const std::string& library_dir) {
  CheckDevices(given, engine);
  const int world_size = engine.world_size();
  const int processes = MpirunProcesses();
  const ExecutorCommunicationMode mode = given.set & PARALLEL_MODE          ? given.mode
                                         : world_size > 1 && processes <= 1 ? COMMUNICATION_ORCHESTRATOR
                                                                            : COMMUNICATION_LEADER;
  tle::ParallelConfig config;
  if (given.device_id_count > 0)
    config.setDeviceIds(std::vector<tle::SizeType32>(given.device_ids, given.device_ids + given.device_id_count));
  if (given.participant_id_count > 0)
    config.setParticipantIds(
        std::vector<tle::SizeType32>(given.participant_ids, given.participant_ids + given.participant_id_count));
  if (given.set & PARALLEL_NODES)
    Need(config, {"parallel.nodes", "1.0"},
         [&](auto& c) -> decltype(c.setNumNodes(1)) { c.setNumNodes(static_cast<tle::SizeType32>(given.nodes)); });

  if (mode == COMMUNICATION_LEADER) {
    const bool fits = given.participant_id_count > 0 || world_size == std::max(processes, 1);
    if (!fits)
      throw Failure(EXECUTOR_ENGINE_RANKS,
                    "the engine has " + Ranks(world_size) + "; in leader mode mpirun has started " +
                        std::to_string(std::max(processes, 1)) + " process(es). Start it with mpirun -n " +
                        std::to_string(world_size) + ", or leave the mode out");
    config.setCommunicationMode(tle::CommunicationMode::kLEADER);
    return config;
  }
  const bool spawns = !(given.set & PARALLEL_SPAWN) || given.spawn_processes != 0;
  if (spawns && processes > 1)
    throw Failure(EXECUTOR_ENGINE_RANKS, "parallel.mode is orchestrator under mpirun -n " + std::to_string(processes) +
                                             "; it starts the ranks itself. Start one process, or use leader mode");
  if (spawns && given.participant_id_count > 0)
    throw Failure(EXECUTOR_INVALID_OPTION,
                  "parallel.participant_ids is set, but the orchestrator starts the ranks itself. Leave it out");
  config.setCommunicationMode(tle::CommunicationMode::kORCHESTRATOR);
  config.setOrchestratorConfig(
      tle::OrchestratorConfig(true, spawns ? WorkerPath(given, library_dir) : std::string(), nullptr, spawns));
  return config;
}

}  // namespace adapter
