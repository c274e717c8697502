#ifndef STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_PARALLEL_CONFIG_H_
#define STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_PARALLEL_CONFIG_H_

#include <utility>

#include "tensorrt_llm/executor/types.h"

namespace tensorrt_llm::mpi {
class MpiComm;
}

namespace tensorrt_llm::executor {

class OrchestratorConfig {
 public:
  // Throws TllmException if it shall spawn processes and the path does not exist.
  explicit OrchestratorConfig(bool isOrchestrator = true, std::string workerExecutablePath = "",
                              std::shared_ptr<mpi::MpiComm> orchLeaderComm = nullptr, bool spawnProcesses = true);

  [[nodiscard]] bool getIsOrchestrator() const { return is_orchestrator_; }
  [[nodiscard]] std::string getWorkerExecutablePath() const { return worker_executable_path_; }
  [[nodiscard]] std::shared_ptr<mpi::MpiComm> getOrchLeaderComm() const { return orch_leader_comm_; }
  [[nodiscard]] bool getSpawnProcesses() const { return spawn_processes_; }

  void setIsOrchestrator(bool isOrchestrator) { is_orchestrator_ = isOrchestrator; }
  void setWorkerExecutablePath(std::string const& workerExecutablePath) {
    worker_executable_path_ = workerExecutablePath;
  }
  void setOrchLeaderComm(std::shared_ptr<mpi::MpiComm> const& orchLeaderComm) { orch_leader_comm_ = orchLeaderComm; }
  void setSpawnProcesses(bool spawnProcesses) { spawn_processes_ = spawnProcesses; }

 private:
  bool is_orchestrator_;
  std::string worker_executable_path_;
  std::shared_ptr<mpi::MpiComm> orch_leader_comm_;
  bool spawn_processes_;
};

class ParallelConfig {
 public:
  // Throws TllmException on an empty list of devices.
#if STAND_IN_1_2
  explicit ParallelConfig(CommunicationType commType = CommunicationType::kMPI,
                          CommunicationMode commMode = CommunicationMode::kLEADER,
                          std::optional<std::vector<SizeType32>> deviceIds = std::nullopt,
                          std::optional<std::vector<SizeType32>> participantIds = std::nullopt,
                          std::optional<OrchestratorConfig> const& orchestratorConfig = std::nullopt,
                          std::optional<SizeType32> numNodes = std::nullopt);
#else
  explicit ParallelConfig(CommunicationType commType = CommunicationType::kMPI,
                          CommunicationMode commMode = CommunicationMode::kLEADER,
                          std::optional<std::vector<SizeType32>> deviceIds = std::nullopt,
                          std::optional<std::vector<SizeType32>> participantIds = std::nullopt,
                          std::optional<OrchestratorConfig> const& orchestratorConfig = std::nullopt);
#endif

  [[nodiscard]] CommunicationType getCommunicationType() const { return comm_type_; }
  [[nodiscard]] CommunicationMode getCommunicationMode() const { return comm_mode_; }
  [[nodiscard]] std::optional<std::vector<SizeType32>> getDeviceIds() const { return device_ids_; }
  [[nodiscard]] std::optional<std::vector<SizeType32>> getParticipantIds() const { return participant_ids_; }
  [[nodiscard]] std::optional<OrchestratorConfig> getOrchestratorConfig() const { return orchestrator_config_; }

  void setCommunicationType(CommunicationType type) { comm_type_ = type; }
  void setCommunicationMode(CommunicationMode mode) { comm_mode_ = mode; }
  void setDeviceIds(std::vector<SizeType32> const& deviceIds);  // throws TllmException on none
  void setParticipantIds(std::vector<SizeType32> const& participantIds) { participant_ids_ = participantIds; }
  void setOrchestratorConfig(OrchestratorConfig const& orchestratorConfig) {
    orchestrator_config_ = orchestratorConfig;
  }
#if STAND_IN_1_2
  [[nodiscard]] std::optional<SizeType32> getNumNodes() const { return num_nodes_; }
  void setNumNodes(SizeType32 numNodes) { num_nodes_ = numNodes; }
#endif

 private:
  CommunicationType comm_type_;
  CommunicationMode comm_mode_;
  std::optional<std::vector<SizeType32>> device_ids_;
  std::optional<std::vector<SizeType32>> participant_ids_;
  std::optional<OrchestratorConfig> orchestrator_config_;
  std::optional<SizeType32> num_nodes_;
};

}  // namespace tensorrt_llm::executor

#endif  // STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_PARALLEL_CONFIG_H_
