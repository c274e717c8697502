// The stand-in without MPI: a world of one rank.
#include <dlfcn.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <mutex>

#include "check.h"
#include "mpi_world.h"

namespace stand_in {
namespace {

// What a process that has initialised MPI itself answers.
bool IsInitialized() {
  using Function = int (*)(int*);
  const auto function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, "MPI_Initialized"));
  int is_initialized = 0;
  if (function != nullptr) function(&is_initialized);
  return is_initialized != 0;
}

}  // namespace

void InitializeMpi(OnAbort) {
  static std::once_flag once;
  std::call_once(once, [] {
    if (IsInitialized()) return;
    for (const int signal : {SIGABRT, SIGSEGV}) std::signal(signal, [](int) { AbortJob(); });
  });
}

void AbortJob() {
  constexpr char kMessage[] = "MPI_ABORT was invoked on rank 0\n";
  static_cast<void>(!write(STDERR_FILENO, kMessage, sizeof(kMessage) - 1));
  _exit(EXIT_FAILURE);
}

tle::SizeType32 WorldSize() { return 1; }
tle::SizeType32 WorldRank() { return 0; }

std::unique_ptr<Role> MakeOrchestrator(const std::filesystem::path&, const tle::ExecutorConfig&, tle::SizeType32) {
  Throw("this stand-in was built without MPI: it has no ORCHESTRATOR communication mode");
}

void EndFollowers() {}
void AwaitLeader() {}

}  // namespace stand_in
