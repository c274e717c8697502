#include "process_control.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>

#include "check.h"
#include "mpi_world.h"

namespace stand_in {
namespace {

std::atomic<bool> plugins_registered{false};
std::atomic<bool> is_first_worker{false};

}  // namespace

bool ArePluginsRegistered() { return plugins_registered; }

void BecomeWorker(bool is_first) {
  plugins_registered = true;
  is_first_worker = is_first;
}

void EndWorker(const Script& script, uint64_t step) {
  if (!is_first_worker || script.worker_ends_by.empty() || step != script.worker_ends_at_step) return;
  if (script.worker_ends_by == "exit") _exit(5);
  if (script.worker_ends_by == "abort") std::abort();
  if (script.worker_ends_by == "MPI_Abort") AbortJob();
  if (script.worker_ends_by == "SIGKILL") std::raise(SIGKILL);
  Throw("worker_ends_by is " + script.worker_ends_by);
}

}  // namespace stand_in

void stand_in_register_plugins() { stand_in::plugins_registered = true; }
