#include "native/tensorrt_llm/daemon_streams.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

namespace adapter {
namespace {

thread_local bool starts_daemon = false;

// Between fork and exec, where only what a signal handler may do is safe.
void SetStreams() {
  if (!starts_daemon) return;
  const int nothing = open("/dev/null", O_RDONLY);
  dup2(nothing, STDIN_FILENO);
  if (nothing > STDERR_FILENO) close(nothing);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  fcntl(STDERR_FILENO, F_SETFD, 0);  // not closed by exec
}

}  // namespace

DaemonStreams::DaemonStreams() {
  static const int registered = pthread_atfork(nullptr, nullptr, SetStreams);
  static_cast<void>(registered);
  starts_daemon = true;
}

DaemonStreams::~DaemonStreams() { starts_daemon = false; }

}  // namespace adapter
