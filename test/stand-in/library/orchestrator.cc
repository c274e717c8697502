// The role of a process that computes nothing: it starts the ranks, sends them its requests and hears their responses.
#include <mpi.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "check.h"
#include "mpi_link.h"
#include "mpi_world.h"
#include "request_sequences.h"

namespace stand_in {
namespace {

MPI_Comm Spawn(const tle::OrchestratorConfig& config, int ranks) {
  MPI_Info info;
  CheckMpi(MPI_Info_create(&info));
  CheckMpi(MPI_Info_set(info, "env", "FORCE_NCCL_ALL_REDUCE_STRATEGY"));
  CheckMpi(MPI_Info_set(info, "bind_to", "none"));
  MPI_Comm link;
  CheckMpi(MPI_Comm_spawn(config.getWorkerExecutablePath().c_str(), MPI_ARGV_NULL, ranks, info, 0, MPI_COMM_SELF, &link,
                          MPI_ERRCODES_IGNORE));
  CheckMpi(MPI_Info_free(&info));
  return link;
}

// Two threads of its own send and hear. As with NVIDIA's, the one that hears ends with the workers' answer to its
// TERMINATION, so that workers which are gone keep Shutdown waiting for good.
class Orchestrator : public Role {
 public:
  Orchestrator(const std::filesystem::path& engine_dir, const tle::ExecutorConfig& config, MPI_Comm link)
      : Role(ReadScript(engine_dir)), link_(link, config.getRecvPollPeriodMs()) {
    Bytes job = Encode(Job{engine_dir, config});
    Broadcast(&job, MPI_ROOT, link);
    CheckMpi(MPI_Barrier(link));  // all ranks have loaded the engine
    sender_ = std::thread([this] { SendAll(); });
    receiver_ = std::thread([this] { ReceiveAll(); });
  }
  ~Orchestrator() override { Shutdown(); }

  std::vector<IdType> Enqueue(const std::vector<tle::Request>& requests) override {
    Submission submission{{}, requests};
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const tle::Request& request : requests) {
      submission.ids.push_back(last_id_ + 1);
      last_id_ += static_cast<IdType>(SequencesOf(request));
    }
    Queue({MessageTag::kSubmission, Encode(submission)});
    return submission.ids;
  }

  void Cancel(IdType id) override {
    const auto* begin = reinterpret_cast<const char*>(&id);
    const std::lock_guard<std::mutex> lock(mutex_);
    Queue({MessageTag::kCancel, Bytes(begin, begin + sizeof(id))});
  }

  void Shutdown() override {
    if (std::exchange(is_shutdown_called_, true)) return;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      Queue({MessageTag::kTermination, {}});
    }
    sender_.join();
    receiver_.join();
    responses_.Close();
  }

 private:
  void Queue(Message message) {
    outgoing_.push_back(std::move(message));
    changed_.notify_one();
  }

  void SendAll() {
    for (bool goes_on = true; goes_on;) {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return !outgoing_.empty(); });
      const Message message = std::move(outgoing_.front());
      outgoing_.pop_front();
      lock.unlock();
      link_.Send(message);
      goes_on = message.tag != MessageTag::kTermination;
    }
  }

  void ReceiveAll() {
    while (true) {
      const Message message = link_.Receive();
      if (message.tag == MessageTag::kTermination) return;
      responses_.Append(DecodeResponses(message.bytes));
    }
  }

  const MpiLink link_;
  std::mutex mutex_;  // of the next three
  std::condition_variable changed_;
  std::deque<Message> outgoing_;
  IdType last_id_ = 0;
  std::thread sender_, receiver_;
};

}  // namespace

std::unique_ptr<Role> MakeOrchestrator(const std::filesystem::path& engine_dir, const tle::ExecutorConfig& config,
                                       tle::SizeType32 ranks) {
  Check(WorldSize() == 1, "When using the orchestrator mode and isOrchestrator is true, expect MPI worldSize to be 1");
  const tle::OrchestratorConfig orchestrator = *config.getParallelConfig()->getOrchestratorConfig();
  Check(!config.getParallelConfig()->getParticipantIds(),
        "Participant ids should not be set when using orchestrator mode and spawning the processes");
  Check(orchestrator.getSpawnProcesses(), "the stand-in's orchestrator starts its ranks itself");
  return std::make_unique<Orchestrator>(engine_dir, config, Spawn(orchestrator, ranks));
}

}  // namespace stand_in
