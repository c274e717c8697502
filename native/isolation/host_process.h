// One process of the program node_tensorrt_llm_host, from its start to its end.
#ifndef ISOLATION_HOST_PROCESS_H_
#define ISOLATION_HOST_PROCESS_H_

#include <sys/types.h>

#include <string>

namespace isolation {

// The descriptor a host finds its end of the socket pair at.
constexpr int kHostSocket = 3;

class HostProcess {
 public:
  // Starts it. The host is killed when the thread that started it ends: Linux counts that as the end of its parent.
  // Throws executor::Failure with EXECUTOR_UNAVAILABLE.
  explicit HostProcess(const std::string& program);
  // Kills it, where it has not ended.
  ~HostProcess();
  HostProcess(const HostProcess&) = delete;
  HostProcess& operator=(const HostProcess&) = delete;

  int socket() const { return socket_; }
  // The host reads to the end of what was sent, and then ends.
  void EndInput() const;
  void Kill() const;
  // Waits for its end, which is near where its end of the socket is closed, and tells of it: "was killed by SIGSEGV".
  std::string WaitForEnd();

 private:
  int socket_ = -1;
  pid_t pid_ = -1;  // -1: it has ended
};

}  // namespace isolation

#endif  // ISOLATION_HOST_PROCESS_H_
