#include "native/tensorrt_llm/parallel_config.h"

#include <algorithm>
#include <vector>

#include "native/executor/cpp/failure.h"
#include "native/tensorrt_llm/mpi.h"
#include "native/tensorrt_llm/worker_program.h"

namespace adapter {
namespace {

using executor::Failure;
using executor::OptionFailure;

// Of an OrchestratorConfig.
constexpr bool kIsOrchestrator = true;
constexpr bool kSpawns = true;
constexpr bool kSpawnsNothing = false;

std::string Ranks(int count) { return std::to_string(count) + (count == 1 ? " rank" : " ranks"); }

std::string Found(int processes) {
  return processes == 0 ? "mpirun has not started this process"
                        : "mpirun has started " + std::to_string(processes) + " process(es)";
}

void CheckDevices(const std::vector<tle::SizeType32>& devices, uint32_t nodes, const Engine& engine) {
  if (devices.empty() || devices.size() * nodes == static_cast<size_t>(engine.world_size())) return;
  throw OptionFailure(EXECUTOR_ENGINE_RANKS, "parallel.device_ids",
                      " names " + std::to_string(devices.size()) + " devices on " + std::to_string(nodes) +
                          " node(s); the engine has " + Ranks(engine.world_size()) + ". Name one device for each");
}

// The processes of mpirun that run the ranks, the first of them as their leader.
void CheckParticipants(const std::vector<tle::SizeType32>& participants, int processes, const Engine& engine) {
  if (participants.empty()) return;
  if (participants.size() != static_cast<size_t>(engine.world_size()))
    throw OptionFailure(EXECUTOR_ENGINE_RANKS, "parallel.participant_ids",
                        " names " + std::to_string(participants.size()) + " processes; the engine has " +
                            Ranks(engine.world_size()) + ". Name one process for each");
  const auto [least, most] = std::minmax_element(participants.begin(), participants.end());
  if (*least < 0 || *most >= std::max(processes, 1))
    throw OptionFailure(EXECUTOR_ENGINE_RANKS, "parallel.participant_ids",
                        " names process " + std::to_string(*least < 0 ? *least : *most) + "; " + Found(processes) +
                            ". Name processes of mpirun, which count from 0");
}

// Each process of mpirun is a rank, or one of those that participants names.
void CheckLeader(const std::vector<tle::SizeType32>& participants, int processes, const Engine& engine) {
  if (!participants.empty() || engine.world_size() == std::max(processes, 1)) return;
  const std::string count = std::to_string(engine.world_size());
  throw Failure(EXECUTOR_ENGINE_RANKS,
                "the engine has " + Ranks(engine.world_size()) + "; in leader mode each is a process, but " +
                    Found(processes) + ". Start it with mpirun -n " + count +
                    (processes == 0 ? ", or leave parallel.mode out: then this process starts the ranks"
                                    : ", or name the processes that run it in parallel.participantIds"));
}

tle::OrchestratorConfig SpawningOrchestrator(const ExecutorParallelConfig& given, int processes,
                                             const std::string& library_dir) {
  if (processes > 1)
    throw OptionFailure(EXECUTOR_ENGINE_RANKS, "parallel.mode",
                        " is orchestrator under mpirun -n " + std::to_string(processes) +
                            "; it starts the ranks itself. Start one process, or use leader mode");
  if (given.participant_id_count > 0)
    throw OptionFailure(EXECUTOR_INVALID_OPTION, "parallel.participant_ids",
                        " is set, but the orchestrator starts the ranks itself. Leave it out");
  return tle::OrchestratorConfig(kIsOrchestrator, FindWorkerProgram(given.worker_path, library_dir), nullptr, kSpawns);
}

// mpirun has started the ranks beside process 0, which orchestrates them.
tle::OrchestratorConfig OrchestratorUnderMpirun(const std::vector<tle::SizeType32>& participants, int processes) {
  if (processes < 2)
    throw OptionFailure(EXECUTOR_ENGINE_RANKS, "parallel.spawn_processes",
                        " is false, so mpirun starts the ranks; " + Found(processes) +
                            ". Start it with mpirun, or leave the option out");
  if (participants.empty() || std::count(participants.begin(), participants.end(), 0) > 0)
    throw OptionFailure(EXECUTOR_INVALID_OPTION, "parallel.participant_ids",
                        " must name the processes that run the ranks where parallel.spawnProcesses "
                        "is false; process 0 is their orchestrator, and none of them");
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
