// MPI in this process. TensorRT-LLM starts it for every engine, even one of a single rank.
#ifndef ADAPTER_MPI_H_
#define ADAPTER_MPI_H_

#include <string>

namespace adapter {

// How many processes mpirun has started together with this one; 0: mpirun has not started it.
int MpirunProcesses();
// How many of them run on this machine, this one among them.
int MpirunProcessesHere();
// Which of them this is; 0 if mpirun has not started it.
int MpirunRank();

enum class Spawning { kNever, kStartsRanks };

// Starts MPI if the library links it and it is not running yet, after setting those of Open MPI's variables that the user has
// not set. TensorRT-LLM must not start it: it would take over SIGABRT and SIGSEGV, and end MPI at exit while executors still run.
// Throws executor::Failure with EXECUTOR_UNAVAILABLE for another MPI than Open MPI, and if ranks must be started but the
// programs that Open MPI starts them with are missing: without them it would end this process.
void StartMpi(Spawning spawning);

// While one exists, MPI is not ended at exit.
class LiveExecutor {
 public:
  LiveExecutor();
  ~LiveExecutor();
  LiveExecutor(const LiveExecutor&) = delete;
  LiveExecutor& operator=(const LiveExecutor&) = delete;
};

}  // namespace adapter

#endif  // ADAPTER_MPI_H_
