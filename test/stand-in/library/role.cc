#include "role.h"

#include <algorithm>
#include <cstdlib>

#include "check.h"
#include "engine_directory.h"
#include "leader.h"
#include "mpi_world.h"

namespace stand_in {
namespace {

// A rank that only computes: it waits for the leader's end.
class Follower : public Role {
 public:
  Follower(const std::filesystem::path& engine_dir, bool participates)
      : Role(ReadScript(engine_dir)), participates_(participates) {
    if (participates_) ReadRankEngine(ReadEngineDirectory(engine_dir), WorldRank(), script_);
  }
  ~Follower() override {
    if (participates_) AwaitLeader();
  }

  std::vector<IdType> Enqueue(const std::vector<tle::Request>&) override { return {}; }
  void Cancel(IdType) override {}
  void Shutdown() override { is_shutdown_called_ = true; }
  bool takes_requests() const override { return false; }
  bool participates() const override { return participates_; }

 private:
  const bool participates_;
};

}  // namespace

void Role::Enter(const std::string& function) {
  if (function == script_.abort_in) std::abort();
  if (function != script_.throw_in || ++calls_ != script_.throw_at_call) return;
  if (script_.throw_no_exception) throw 1;
  Throw("scripted throw in " + function);
}

std::unique_ptr<Role> TakeRole(const std::filesystem::path& engine_dir, const tle::ExecutorConfig& config) {
  const tle::ParallelConfig parallel = config.getParallelConfig().value_or(tle::ParallelConfig());
  const EngineDirectory directory = ReadEngineDirectory(engine_dir);
  InitializeMpi(OnAbort::kEndTheJob);
  if (parallel.getCommunicationMode() == tle::CommunicationMode::kORCHESTRATOR) {
    Check(parallel.getOrchestratorConfig().has_value(),
          "OrchestratorConfig must be set when using ORCHESTRATOR communication mode.");
    return MakeOrchestrator(engine_dir, config, directory.ranks);
  }
  SizeType32 leader = 0;
  bool participates = true;
  if (const auto participants = parallel.getParticipantIds()) {
    Check(static_cast<SizeType32>(participants->size()) == directory.ranks,
          "When specifying participantIds, participantIds size (" + std::to_string(participants->size()) +
              ") must be equal to tp*pp*cp");
    leader = participants->front();
    participates = std::find(participants->begin(), participants->end(), WorldRank()) != participants->end();
  } else {
    Check(directory.ranks == WorldSize(),
          "With communicationMode kLEADER, MPI worldSize is expected to be equal to tp*pp*cp when participantIds are "
          "not specified");
  }
  if (const auto devices = parallel.getDeviceIds())
    Check(static_cast<SizeType32>(devices->size()) == directory.ranks,
          "When specifying deviceIds, deviceIds (" + std::to_string(devices->size()) +
              ") * numNodes (1) must be equal to tp*pp*cp");
  if (WorldRank() != leader) return std::make_unique<Follower>(engine_dir, participates);
  return std::make_unique<Leader>(engine_dir, config);
}

}  // namespace stand_in
