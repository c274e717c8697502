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

// Throws what keeps the program from starting, with what helps.
[[noreturn]] void ThrowNotStarted(const std::string& program, int error) {
  ExecutorCode code = EXECUTOR_UNAVAILABLE;
  std::string fix = "Reinstall the package, or load without isolation.";
  switch (error) {
    case EMFILE:
    case ENFILE:
      fix = "Close files, or raise the limit of open files: ulimit -n, fs.file-max.";
      break;
    case EAGAIN:
      fix = "Raise the limit of processes: ulimit -u, a container's --pids-limit, a service's TasksMax.";
      break;
    case ENOMEM:
      code = EXECUTOR_OUT_OF_MEMORY;
      fix = "Free memory, or raise its limit: a container's --memory, ulimit -v.";
      break;
    case EACCES:
    case EPERM:
      fix = "Let this user execute it, on a file system without noexec, or load without isolation.";
      break;
    case E2BIG:
      fix = "Pass fewer variables by isolationEnv, or shorter ones.";
      break;
    default:
      break;
  }
  throw executor::Failure(code, program + ", which runs the executor for isolation: 'process', could not be started: " +
                                    std::strerror(error) + ". " + fix);
}

// Of posix_spawn. glibc's functions fail only where memory has run out.
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

// This process's end first.
std::pair<int, int> SocketPair(const std::string& program) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) ThrowNotStarted(program, errno);
  return {ends[0], ends[1]};
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

// A process that is killed while a driver holds it ends later, or never.
constexpr auto kKillTime = std::chrono::seconds(1);

}  // namespace

HostProcess::HostProcess(const std::string& program, const std::vector<std::string>& environment)
    : HostProcess(program, environment, SocketPair(program)) {}

HostProcess::HostProcess(const std::string& program, const std::vector<std::string>& environment,
                         std::pair<int, int> sockets)
    : socket_(sockets.first) {
  const Descriptor hosts_end(sockets.second);
  FileActions actions;
  int error = 0;
  const auto add = [&error](int result) {
    if (error == 0) error = result;
  };
  add(posix_spawn_file_actions_adddup2(actions.get(), hosts_end.get(), kHostSocket));  // without close-on-exec
  add(posix_spawn_file_actions_addopen(actions.get(), STDIN_FILENO, "/dev/null", O_RDONLY, 0));
  // Standard output is the user's program's, so what an executor prints goes to standard error. Node marks both descriptors
  // close-on-exec; their copies are not.
  for (const int output : {STDOUT_FILENO, STDERR_FILENO}) {
    add(posix_spawn_file_actions_adddup2(actions.get(), STDERR_FILENO, output));
  }
  add(posix_spawn_file_actions_addclosefrom_np(actions.get(), kHostSocket + 1));
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
  std::vector<char*> variables;
  for (const std::string& variable : environment) variables.push_back(const_cast<char*>(variable.c_str()));
  variables.push_back(nullptr);
  if (error == 0)
    error = posix_spawn(&pid_, program.c_str(), actions.get(), attributes.get(), arguments, variables.data());
  if (error != 0) ThrowNotStarted(program, error);
}

HostProcess::~HostProcess() {
  if (pid_ == -1) return;
  Kill();
  try {
    WaitForEnd(std::chrono::steady_clock::now());
  } catch (const std::exception&) {  // no memory for how it ended
  }
}

void HostProcess::EndInput() const { shutdown(socket_.get(), SHUT_WR); }

void HostProcess::Kill() const {
  if (pid_ > 0) kill(pid_, SIGKILL);  // -1 would be every process
}

std::string HostProcess::WaitForEnd(std::chrono::steady_clock::time_point kill_at) {
  int status = 0;
  for (;;) {
    const pid_t ended = waitpid(pid_, &status, WNOHANG);
    if (ended != 0 && !(ended == -1 && errno == EINTR)) {
      pid_ = -1;
      // A process that ignores SIGCHLD cannot learn how its children ended.
      return ended == -1 ? "ended" : Describe(status);
    }
    const auto now = std::chrono::steady_clock::now();
    if (now >= kill_at) Kill();
    if (now >= kill_at + kKillTime) {
      pid_ = -1;
      return "was killed and does not end";
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace isolation
