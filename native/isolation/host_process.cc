#include "native/isolation/host_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "native/executor/cpp/failure.h"

namespace isolation {
namespace {

// Both are plain data in glibc, and their functions fail only when memory has run out.
class FileActions {
 public:
  FileActions() { posix_spawn_file_actions_init(&actions_); }
  ~FileActions() { posix_spawn_file_actions_destroy(&actions_); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};
class Attributes {
 public:
  Attributes() { posix_spawnattr_init(&attributes_); }
  ~Attributes() { posix_spawnattr_destroy(&attributes_); }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
  posix_spawnattr_t* get() { return &attributes_; }

 private:
  posix_spawnattr_t attributes_;
};

executor::Failure NotStarted(const std::string& program, int error) {
  return executor::Failure(EXECUTOR_UNAVAILABLE, program + " could not be started: " + std::strerror(error) +
                                                     ". It runs the executor for isolation: 'process'. Reinstall the "
                                                     "package, or load without isolation.");
}

std::string Describe(int status) {
  if (!WIFSIGNALED(status)) return "ended with exit code " + std::to_string(WEXITSTATUS(status));
  const int signal = WTERMSIG(status);
  const char* name = sigabbrev_np(signal);
  std::string text =
      "was killed by " + (name == nullptr ? "signal " + std::to_string(signal) : "SIG" + std::string(name));
  if (signal == SIGKILL) text += " (Linux does this when memory runs out)";
  return text;
}

constexpr auto kEndTimeout = std::chrono::seconds(2);

}  // namespace

HostProcess::HostProcess(const std::string& program) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) throw NotStarted(program, errno);
  socket_ = ends[0];

  FileActions actions;
  posix_spawn_file_actions_adddup2(actions.get(), ends[1], kHostSocket);  // without close-on-exec
  posix_spawn_file_actions_addopen(actions.get(), STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  // Standard output is the user's program's, so what an executor prints goes to standard error. Node marks both descriptors
  // close-on-exec; their copies are not.
  for (const int output : {STDOUT_FILENO, STDERR_FILENO}) {
    posix_spawn_file_actions_adddup2(actions.get(), STDERR_FILENO, output);
  }
  posix_spawn_file_actions_addclosefrom_np(actions.get(), kHostSocket + 1);
  Attributes attributes;
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(attributes.get(), &none);
  posix_spawnattr_setsigdefault(attributes.get(), &all);
  posix_spawnattr_setflags(attributes.get(), POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::string name = program;
  char* arguments[] = {name.data(), nullptr};
  const int error = posix_spawn(&pid_, program.c_str(), actions.get(), attributes.get(), arguments, environ);
  close(ends[1]);
  if (error != 0) {
    close(socket_);
    throw NotStarted(program, error);
  }
}

HostProcess::~HostProcess() {
  if (pid_ != -1) {
    Kill();
    WaitForEnd();
  }
  close(socket_);
}

void HostProcess::EndInput() const { shutdown(socket_, SHUT_WR); }

void HostProcess::Kill() const {
  if (pid_ > 0) kill(pid_, SIGKILL);  // -1 would be every process
}

std::string HostProcess::WaitForEnd() {
  const auto kill_at = std::chrono::steady_clock::now() + kEndTimeout;
  int status = 0;
  for (;;) {
    const pid_t ended = waitpid(pid_, &status, WNOHANG);
    if (ended != 0 && !(ended == -1 && errno == EINTR)) {
      pid_ = -1;
      // A process that ignores SIGCHLD cannot learn how its children ended.
      return ended == -1 ? "ended" : Describe(status);
    }
    if (std::chrono::steady_clock::now() >= kill_at) Kill();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace isolation
