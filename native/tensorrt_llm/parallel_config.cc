#include "native/tensorrt_llm/parallel_config.h"

#include <algorithm>
#include <vector>

#include "native/executor/cpp/failure.h"
#include "native/tensorrt_llm/mpi.h"
#include "native/tensorrt_llm/worker_program.h"

namespace adapter {
namespace {

using executor::Count;
using executor::Failure;
using executor::OptionFailure;

// Of an OrchestratorConfig.
constexpr bool kIsOrchestrator = true;
constexpr bool kSpawns = true;
constexpr bool kSpawnsNothing = false;

std::string Ranks(const Engine& engine) { return Count(static_cast<size_t>(engine.world_size()), "rank"); }

// In the middle of a sentence.
std::string Started(int processes) {
  if (processes == 0) return "this process was not started by mpirun";
  if (processes == 1) return "this process is the only one that mpirun started";
  return "this process is one of " + std::to_string(processes) + " that mpirun started";
}

void CheckDevices(const std::vector<tle::SizeType32>& devices, uint32_t nodes, const Engine& engine) {
  if (devices.empty() || devices.size() * nodes == static_cast<size_t>(engine.world_size())) return;
  throw OptionFailure(EXECUTOR_ENGINE_RANKS, "parallel.device_ids",
                      " has " + Count(devices.size(), "id") +
                          (nodes > 1 ? " for each of " + std::to_string(nodes) + " nodes" : "") +
                          "; expected one for each of the engine's " + Ranks(engine) + ".");
}

// `participants`: the processes of mpirun that run the ranks; the first leads them.
void CheckParticipants(const std::vector<tle::SizeType32>& participants, int processes, const Engine& engine) {
  if (participants.empty()) return;
  if (participants.size() != static_cast<size_t>(engine.world_size()))
    throw OptionFailure(
        EXECUTOR_ENGINE_RANKS, "parallel.participant_ids",
        " has " + Count(participants.size(), "id") + "; expected one for each of the engine's " + Ranks(engine) + ".");
  const auto [least, most] = std::minmax_element(participants.begin(), participants.end());
  if (*least < 0 || *most >= std::max(processes, 1))
    throw OptionFailure(EXECUTOR_ENGINE_RANKS, "parallel.participant_ids",
                        " has " + std::to_string(*least < 0 ? *least : *most) + "; expected ranks of mpirun, 0 to " +
                            std::to_string(std::max(processes, 1) - 1) + ", because " + Started(processes) + ".");
}

// Every process of mpirun is a rank of the engine, unless participantIds chooses some.
void CheckLeader(const std::vector<tle::SizeType32>& participants, int processes, const Engine& engine) {
  if (!participants.empty() || engine.world_size() == std::max(processes, 1)) return;
  const std::string fix = processes == 0 ? "remove parallel.mode, so that this process starts the ranks."
                                         : "choose the processes that run it with parallel.participantIds.";
  std::string found = Started(processes);
  found[0] = 'T';
  throw Failure(EXECUTOR_ENGINE_RANKS, found + "; expected one process for each of the engine's " + Ranks(engine) +
                                           ", because in leader mode each rank is a process. Start it with mpirun -n " +
                                           std::to_string(engine.world_size()) + ", or " + fix);
}

tle::OrchestratorConfig SpawningOrchestrator(const ExecutorParallelConfig& given, int processes,
                                             const std::string& library_dir) {
  if (processes > 1)
    throw OptionFailure(EXECUTOR_ENGINE_RANKS, "parallel.mode",
                        " is 'orchestrator', and " + Started(processes) +
                            "; expected one process, because it starts the ranks itself. Start one, or set "
                            "parallel.mode to 'leader'.");
  if (given.participant_id_count > 0)
    throw OptionFailure(EXECUTOR_INVALID_OPTION, "parallel.participant_ids",
                        " is set; expected it unset, because the orchestrator starts the ranks itself. Remove it.");
  return tle::OrchestratorConfig(kIsOrchestrator, FindWorkerProgram(given.worker_path, library_dir), nullptr, kSpawns);
}

// mpirun has started the ranks beside process 0, which orchestrates them.
tle::OrchestratorConfig OrchestratorUnderMpirun(const std::vector<tle::SizeType32>& participants, int processes) {
  if (processes < 2)
    throw OptionFailure(EXECUTOR_ENGINE_RANKS, "parallel.spawn_processes",
                        " is false, and " + Started(processes) +
                            "; expected mpirun to have started the ranks. Use mpirun, or remove the option.");
  if (participants.empty() || std::count(participants.begin(), participants.end(), 0) > 0)
    throw OptionFailure(EXECUTOR_INVALID_OPTION, "parallel.participant_ids",
                        std::string(participants.empty() ? " is unset" : " has 0") +
                            "; expected the processes that run the ranks, without their orchestrator, 0, because "
                            "parallel.spawnProcesses is false. Set it.");
  return tle::OrchestratorConfig(MpirunRank() == 0, std::string(), nullptr, kSpawnsNothing);
}

}  // namespace

tle::ParallelConfig MakeParallel(const ExecutorParallelConfig& given, const Engine& engine,
                                 const std::string& library_dir) {
  const std::vector<tle::SizeType32> devices(given.device_ids, given.device_ids + given.device_id_count);
  const std::vector<tle::SizeType32> participants(given.participant_ids,
                                                  given.participant_ids + given.participant_id_count);
  const int processes = MpirunProcesses();
  CheckDevices(devices, given.set & PARALLEL_NODES ? given.nodes : 1, engine);
  const bool orchestrates =
      given.set & PARALLEL_MODE ? given.mode == COMMUNICATION_ORCHESTRATOR : engine.world_size() > 1 && processes <= 1;
  tle::ParallelConfig config;
  if (!devices.empty()) config.setDeviceIds(devices);
  if (!participants.empty()) config.setParticipantIds(participants);
  if (given.set & PARALLEL_NODES)
    Need(config, {"parallel.nodes", "1.0"},
         [&](auto& c) -> decltype(c.setNumNodes(1)) { c.setNumNodes(static_cast<tle::SizeType32>(given.nodes)); });
  if (!orchestrates) {
    CheckParticipants(participants, processes, engine);
    CheckLeader(participants, processes, engine);
    config.setCommunicationMode(tle::CommunicationMode::kLEADER);
    return config;
  }
  const bool spawns = !(given.set & PARALLEL_SPAWN) || given.spawn_processes != 0;
  config.setCommunicationMode(tle::CommunicationMode::kORCHESTRATOR);
  if (spawns) {
    config.setOrchestratorConfig(SpawningOrchestrator(given, processes, library_dir));
  } else {
    config.setOrchestratorConfig(OrchestratorUnderMpirun(participants, processes));
    CheckParticipants(participants, processes, engine);
  }
  return config;
}

}  // namespace adapter
