#include "native/tensorrt_llm/worker_program.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <sstream>
#include <vector>

#include "native/executor/cpp/failure.h"
#include "native/tensorrt_llm/library_path.h"

namespace adapter {
namespace {

using executor::Failure;

// Makes the dynamic loader list the shared libraries of a program, one a line as ldd prints them, instead of running it.
// Empty if that fails.
std::string LoaderReport(const std::string& program) {
  const SharedLibraryPath library_path;  // as MPI will start it
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::vector<char*> environment{const_cast<char*>("LD_TRACE_LOADED_OBJECTS=1")};
  for (char** variable = environ; *variable != nullptr; ++variable) environment.push_back(*variable);
  environment.push_back(nullptr);
  char* const arguments[] = {const_cast<char*>("ldd"), nullptr};  // not its own name, by which workers are known
  pid_t pid = 0;
  const bool started = posix_spawn(&pid, program.c_str(), &actions, nullptr, arguments, environment.data()) == 0;
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string report;
  char piece[4096];
  for (ssize_t length = 1; started && (length > 0 || errno == EINTR);) {
    length = read(ends[0], piece, sizeof(piece));
    if (length > 0) report.append(piece, static_cast<size_t>(length));
    if (length == 0) break;
  }
  close(ends[0]);
  while (started && waitpid(pid, nullptr, 0) == -1 && errno == EINTR) continue;
  return report;
}

// The names of "libnvinfer.so.10 => not found" and the like.
std::string MissingLibraries(const std::string& report) {
  std::istringstream lines(report);
  std::string missing;
  for (std::string line; std::getline(lines, line);) {
    const size_t found = line.find(" => not found");
    if (found == std::string::npos) continue;
    missing += (missing.empty() ? "" : ", ") + line.substr(line.find_first_not_of("\t "), found - 1);
  }
  return missing;
}

}  // namespace

std::string FindWorkerProgram(const char* given, const std::string& library_dir) {
  const std::string path =
      given != nullptr ? given : (std::filesystem::path(library_dir).parent_path() / "bin" / "executorWorker").string();
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error) || access(path.c_str(), X_OK) != 0)
    throw Failure(EXECUTOR_UNAVAILABLE,
                  path +
                      " is not an executable program; expected TensorRT-LLM's executorWorker, which "
                      "runs the ranks. Set parallel.workerPath, or install the whole wheel.");
  const std::string missing = MissingLibraries(LoaderReport(path));
  if (!missing.empty())
    throw Failure(EXECUTOR_UNAVAILABLE, path + " needs " + missing +
                                            ", which the loader does not find. Add the directories of these "
                                            "libraries to LD_LIBRARY_PATH before this process starts; ldd shows what "
                                            "is found.");
  return path;
}

}  // namespace adapter
