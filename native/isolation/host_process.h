// One process of the program node_tensorrt_llm_host, from its start to its end.
#ifndef ISOLATION_HOST_PROCESS_H_
#define ISOLATION_HOST_PROCESS_H_

#include <sys/types.h>

#include <string>

namespace isolation {

// The host's descriptor of its end of the socket pair.
constexpr int kHostSocket = 3;

class HostProcess {
 public:
  // Starts it. The host is killed when the thread that started it ends: Linux counts that as the end of its parent.
  // Throws executor::Failure with EXECUTOR_UNAVAILABLE.
  explicit HostProcess(const std::string& program);
  // Kills it if it has not ended.
  ~HostProcess();
  HostProcess(const HostProcess&) = delete;
  HostProcess& operator=(const HostProcess&) = delete;

  int socket() const { return socket_; }
  // Makes the host end, after it has read everything that was sent.
  void EndInput() const;
  void Kill() const;
  // Waits up to two seconds for its end, then kills it. Returns how it ended: "was killed by SIGSEGV".
  std::string WaitForEnd();

 private:
  int socket_ = -1;
  pid_t pid_ = -1;  // -1: it has ended
};

}  // namespace isolation

#endif  // ISOLATION_HOST_PROCESS_H_
