// The processes in which orchestrator mode runs the ranks on this machine. MPI starts them, as grandchildren of this process,
// and does not report their end: awaitResponses would wait for them forever.
#ifndef ADAPTER_WORKERS_H_
#define ADAPTER_WORKERS_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace adapter {

// A process by its id and when it started, in ticks: ids are reused.
struct Process {
  pid_t pid;
  uint64_t start;
  bool operator<(const Process& other) const { return pid != other.pid ? pid < other.pid : start < other.start; }
};

class Workers {
 public:
  // Those that run `program`, are descended from this process, and start after this; `count` of them, or fewer where some
  // run on other machines.
  Workers(std::string program, size_t count);

  // Finds those that have started, and how much each has read. Returns whether one found earlier has ended.
  bool Look();
  // Returns whether one that Look has found has ended.
  bool HasOneEnded() const;
  // By all of them.
  uint64_t BytesRead() const;
  std::vector<pid_t> pids() const;
  // After a worker of any engine has crashed, Open MPI ends all other workers of this process, and may not answer a request
  // for new ones until then. Waits for that, a few seconds at most.
  void AwaitOthersEnd() const;

 private:
  std::set<Process> Find() const;

  const std::string program_;
  const size_t count_;
  std::set<Process> others_;  // that ran before
  std::map<Process, uint64_t> bytes_read_;
};

// Bytes that a process has read from files and the like; 0 where that cannot be known.
uint64_t BytesReadBy(pid_t pid);

}  // namespace adapter

#endif  // ADAPTER_WORKERS_H_
