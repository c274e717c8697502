// The stand-in over MPI.
#include <mpi.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "check.h"
#include "mpi_link.h"
#include "mpi_world.h"

namespace stand_in {
namespace {

constexpr int kLeaderEndedTag = 1;

OnAbort on_abort_signal = OnAbort::kEndTheJob;

int Ask(int (*question)(MPI_Comm, int*)) {
  int answer = 0;
  CheckMpi(question(MPI_COMM_WORLD, &answer));
  return answer;
}

}  // namespace

void CheckMpi(int result, const char* file, int line) {
  Check(result == MPI_SUCCESS,
        "Failed: MPI error " + std::string(file) + ":" + std::to_string(line) + " '" + std::to_string(result) + "'");
}

void InitializeMpi(OnAbort on_abort) {
  static std::once_flag once;
  std::call_once(once, [&] {
    int is_initialized = 0;
    CheckMpi(MPI_Initialized(&is_initialized));
    if (is_initialized != 0) return;
    int provided = 0;
    CheckMpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided));
    Check(provided >= MPI_THREAD_MULTIPLE, "MPI_Init_thread failed");
    std::atexit([] { MPI_Finalize(); });
    on_abort_signal = on_abort;
    for (const int signal : {SIGABRT, SIGSEGV})
      std::signal(signal, [](int) {
        if (on_abort_signal == OnAbort::kKillTheParentToo) kill(getppid(), SIGKILL);
        AbortJob();
      });
  });
}

void AbortJob() {
  MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
  _exit(EXIT_FAILURE);
}

tle::SizeType32 WorldSize() { return Ask(MPI_Comm_size); }
tle::SizeType32 WorldRank() { return Ask(MPI_Comm_rank); }

void EndFollowers() {
  for (int rank = 0; rank < WorldSize(); ++rank)
    if (rank != WorldRank()) CheckMpi(MPI_Send(nullptr, 0, MPI_CHAR, rank, kLeaderEndedTag, MPI_COMM_WORLD));
}

void AwaitLeader() {
  for (int has_ended = 0; has_ended == 0; std::this_thread::sleep_for(std::chrono::milliseconds(1)))
    CheckMpi(MPI_Iprobe(MPI_ANY_SOURCE, kLeaderEndedTag, MPI_COMM_WORLD, &has_ended, MPI_STATUS_IGNORE));
  CheckMpi(MPI_Recv(nullptr, 0, MPI_CHAR, MPI_ANY_SOURCE, kLeaderEndedTag, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
}

}  // namespace stand_in
