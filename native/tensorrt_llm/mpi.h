// MPI in this process. TensorRT-LLM starts it for every engine, one that has a single rank included.
#ifndef ADAPTER_MPI_H_
#define ADAPTER_MPI_H_

#include <string>

namespace adapter {

// How many processes mpirun has started together with this one; 0: mpirun has not started it.
int MpirunProcesses();
// How many of them run on this machine, this one among them.
int MpirunProcessesHere();
// Which of them this is; 0 where mpirun has not started it.
int MpirunRank();

enum class Spawning { kNever, kStartsRanks };

// Starts MPI where the library links it and nobody has yet: Open MPI's variables first, each that the user has not set. Whoever
// starts MPI ends it: the library would take over SIGABRT and SIGSEGV, and end MPI at exit under executors that still run.
// Throws executor::Failure with EXECUTOR_UNAVAILABLE for another MPI than Open MPI, and where ranks are to be started and
// the programs that Open MPI starts them by are missing: without them it would end this process.
void StartMpi(Spawning spawning);

// Counts an executor as alive: while one is, MPI is not ended at exit.
class LiveExecutor {
 public:
  LiveExecutor();
  ~LiveExecutor();
  LiveExecutor(const LiveExecutor&) = delete;
  LiveExecutor& operator=(const LiveExecutor&) = delete;
};

}  // namespace adapter

#endif  // ADAPTER_MPI_H_
