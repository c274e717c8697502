#include "worker.h"

#include <mpi.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "check.h"
#include "leader.h"
#include "mpi_link.h"
#include "mpi_world.h"
#include "process_control.h"

namespace stand_in {
namespace {

// The rank that the orchestrator speaks to.
class FirstWorker {
 public:
  FirstWorker(Leader* leader, const MpiLink* link) : leader_(leader), link_(link) {}

  // Until the orchestrator ends it.
  void Run() {
    std::thread sender([this] { SendResponses(); });
    for (Message message = link_->Receive(); message.tag != MessageTag::kTermination; message = link_->Receive())
      Obey(message);
    leader_->Shutdown();
    is_ending_ = true;
    sender.join();
    link_->Send({MessageTag::kTermination, {}});
  }

 private:
  void Obey(const Message& message) {
    if (message.tag == MessageTag::kCancel) {
      IdType id;
      std::memcpy(&id, message.bytes.data(), sizeof(id));
      leader_->Cancel(id);
      return;
    }
    const Submission submission = DecodeSubmission(message.bytes);
    try {
      Check(leader_->Enqueue(submission.requests) == submission.ids, "both ends count the same ids");
    } catch (const std::exception& refused) {
      // As with NVIDIA's: a response of an error, and without a client id.
      std::vector<tle::Response> responses;
      for (const IdType id : submission.ids) responses.emplace_back(id, std::string(refused.what()));
      link_->Send({MessageTag::kResponses, Encode(responses)});
    }
  }

  void SendResponses() {
    while (!is_ending_) {
      const std::vector<tle::Response> responses = leader_->responses().Await(std::chrono::milliseconds(50));
      if (!responses.empty()) link_->Send({MessageTag::kResponses, Encode(responses)});
    }
  }

  Leader* const leader_;
  const MpiLink* const link_;
  std::atomic<bool> is_ending_{false};
};

void Run() {
  InitializeMpi(OnAbort::kKillTheParentToo);
  MPI_Comm orchestrator;
  CheckMpi(MPI_Comm_get_parent(&orchestrator));
  Check(orchestrator != MPI_COMM_NULL, "executorWorker is started by an orchestrator");
  BecomeWorker(WorldRank() == 0);
  Bytes bytes;
  Broadcast(&bytes, 0, orchestrator);
  const Job job = DecodeJob(bytes);
  if (WorldRank() > 0) {
    ReadRankEngine(ReadEngineDirectory(job.engine_dir), WorldRank(), ReadScript(job.engine_dir));
    CheckMpi(MPI_Barrier(orchestrator));
    AwaitLeader();
    return;
  }
  Leader leader(job.engine_dir, job.config);
  CheckMpi(MPI_Barrier(orchestrator));
  const MpiLink link(orchestrator, job.config.getRecvPollPeriodMs());
  FirstWorker(&leader, &link).Run();
}

}  // namespace
}  // namespace stand_in

int stand_in_run_worker() {
  try {
    stand_in::Run();
    return EXIT_SUCCESS;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    _exit(EXIT_FAILURE);  // without MPI_Finalize, which would wait for the others
  }
}
