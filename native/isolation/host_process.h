// One process of the program node_tensorrt_llm_host, from its start to its end.
#ifndef ISOLATION_HOST_PROCESS_H_
#define ISOLATION_HOST_PROCESS_H_

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "native/isolation/descriptor.h"

namespace isolation {

// The host's descriptor of its end of the socket pair.
constexpr int kHostSocket = 3;

class HostProcess {
 public:
  // Starts it. The host is killed when the thread that started it ends: Linux counts that as the end of its parent.
  // `environment` is all it has: "NAME=value". Throws executor::Failure.
  HostProcess(const std::string& program, const std::vector<std::string>& environment);
  // Kills it if it has not ended.
  ~HostProcess();
  HostProcess(const HostProcess&) = delete;
  HostProcess& operator=(const HostProcess&) = delete;

  int socket() const { return socket_.get(); }
  // Makes the host end, after it has read everything that was sent.
  void EndInput() const;
  void Kill() const;
  // Waits for its end, and kills it at this time. Returns how it ended: "was killed by SIGSEGV".
  std::string WaitForEnd(std::chrono::steady_clock::time_point kill_at);

 private:
  HostProcess(const std::string& program, const std::vector<std::string>& environment, std::pair<int, int> sockets);

  const Descriptor socket_;
  pid_t pid_ = -1;  // -1: it has ended
};

}  // namespace isolation

#endif  // ISOLATION_HOST_PROCESS_H_
