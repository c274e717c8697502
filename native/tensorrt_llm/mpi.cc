#include "native/tensorrt_llm/mpi.h"

#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>
#include <sstream>

#include "native/executor/cpp/failure.h"
#include "native/tensorrt_llm/library_path.h"

namespace adapter {
namespace {

using executor::Failure;
using std::filesystem::path;

constexpr int kMpiThreadMultiple = 3;  // MPI_THREAD_MULTIPLE of Open MPI
constexpr size_t kMaxLibraryVersion = 512;

std::atomic<int> live_executors{0};

template <typename Function>
Function FindMpi(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));  // in the scope of this library: what it links
}

void EndMpi() {
  if (live_executors > 0) return;
  if (const auto finalize = FindMpi<int (*)()>("MPI_Finalize")) finalize();
}

int NumberIn(const char* variable) {
  const char* const number = std::getenv(variable);
  return number == nullptr ? 0 : std::atoi(number);
}

bool IsProgram(const path& file) { return access(file.c_str(), X_OK) == 0; }

bool IsOnPath(const char* program) {
  const char* const directories = std::getenv("PATH");
  std::istringstream rest(directories == nullptr ? "" : directories);
  for (std::string directory; std::getline(rest, directory, ':');)
    if (IsProgram(path(directory) / program)) return true;
  return false;
}

// Open MPI looks in PATH, then in the bin directory it was built or moved (OPAL_PREFIX) to. The first of these is somewhere
// above its library.
bool HasDaemon(const char* program, const void* function_of_mpi) {
  if (IsOnPath(program)) return true;
  const char* const prefix = std::getenv("OPAL_PREFIX");
  if (prefix != nullptr) return IsProgram(path(prefix) / "bin" / program);
  Dl_info info{};
  if (dladdr(function_of_mpi, &info) == 0 || info.dli_fname == nullptr) return false;
  std::error_code error;
  path directory = std::filesystem::canonical(info.dli_fname, error);
  for (; directory.has_relative_path(); directory = directory.parent_path())
    if (IsProgram(directory / "bin" / program)) return true;
  return false;
}

std::string LibraryVersion() {
  const auto ask = FindMpi<int (*)(char*, int*)>("MPI_Get_library_version");
  std::string version(kMaxLibraryVersion, 0);
  int length = 0;
  if (ask == nullptr || ask(version.data(), &length) != 0) return "unknown";
  version.resize(static_cast<size_t>(length));
  return version.substr(0, version.find_first_of(",\n"));
}

// Workers and the daemon that starts them get the environment as it is when MPI starts.
void SetEnvironment(bool has_daemon) {
  const auto set_default = [](const char* variable, const char* value) { setenv(variable, value, 0); };
  // Open MPI counts the cores as places for ranks. A rank computes on a GPU, and there may be more of these.
  set_default("OMPI_MCA_rmaps_base_oversubscribe", "1");
  set_default("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe");  // the same, from Open MPI 5 on
  if (geteuid() == 0)
    for (const char* variable : {"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"})
      set_default(variable, "1");
  // To start ranks on this machine it needs no remote shell, but without one it does not start.
  if (!IsOnPath("ssh") && !IsOnPath("rsh")) set_default("OMPI_MCA_plm_rsh_agent", "");
  // A single rank runs without the daemon, but cannot start others.
  if (!has_daemon) set_default("OMPI_MCA_ess_singleton_isolated", "1");
}

// What fails in MPI then comes back as an error, which the library throws; by default it ends the process.
void ReturnErrors() {
  const auto set_handler = FindMpi<int (*)(void*, void*)>("MPI_Comm_set_errhandler");
  // Open MPI's MPI_ERRORS_RETURN, MPI_COMM_SELF and MPI_COMM_WORLD.
  void* const returns = FindMpi<void*>("ompi_mpi_errors_return");
  if (set_handler == nullptr || returns == nullptr) return;
  for (const char* name : {"ompi_mpi_comm_self", "ompi_mpi_comm_world"})
    if (void* const communicator = FindMpi<void*>(name)) set_handler(communicator, returns);
}

}  // namespace

int MpirunProcesses() { return NumberIn("OMPI_COMM_WORLD_SIZE"); }
int MpirunProcessesHere() { return NumberIn("OMPI_COMM_WORLD_LOCAL_SIZE"); }
int MpirunRank() { return NumberIn("OMPI_COMM_WORLD_RANK"); }

void StartMpi(Spawning spawning) {
  const auto initialized = FindMpi<int (*)(int*)>("MPI_Initialized");
  const auto init_thread = FindMpi<int (*)(int*, char***, int, int*)>("MPI_Init_thread");
  if (initialized == nullptr || init_thread == nullptr) return;
  static std::mutex* const mutex = new std::mutex;  // never destroyed: threads may still run after static destructors
  static std::optional<bool> can_spawn;             // unset if MPI was already running
  const std::lock_guard<std::mutex> lock(*mutex);
  const std::string version = LibraryVersion();
  if (version.rfind("Open MPI", 0) != 0)
    throw Failure(EXECUTOR_UNAVAILABLE,
                  "The MPI library found is " + version +
                      "; expected Open MPI, which TensorRT-LLM is built for. Install it (Debian and "
                      "Ubuntu: openmpi-bin), and make sure that its libmpi.so.40 is found first.");
  const char* const daemon = version.rfind("Open MPI v4", 0) == 0 ? "orted" : "prte";
  const auto check_can_spawn = [&] {
    if (spawning == Spawning::kNever || can_spawn.value_or(true)) return;
    throw Failure(EXECUTOR_UNAVAILABLE, version + " was found without " + daemon +
                                            ", the program that starts the ranks of an engine. Install all of Open MPI "
                                            "(Debian and Ubuntu: openmpi-bin), put its bin directory in PATH, and "
                                            "restart this process.");
  };
  int is_initialized = 0;
  initialized(&is_initialized);
  if (is_initialized != 0) return check_can_spawn();
  if (MpirunProcesses() == 0) {
    can_spawn = HasDaemon(daemon, reinterpret_cast<void*>(init_thread));
    check_can_spawn();
    SetEnvironment(*can_spawn);
  }
  const SharedLibraryPath library_path;
  int provided = 0;
  if (init_thread(nullptr, nullptr, kMpiThreadMultiple, &provided) != 0 || provided < kMpiThreadMultiple)
    throw Failure(EXECUTOR_UNAVAILABLE,
                  "MPI has thread support level " + std::to_string(provided) +
                      "; expected 3 (MPI_THREAD_MULTIPLE). Install Open MPI 4 or 5 with its runtime.");
  std::atexit(EndMpi);
  ReturnErrors();
}

LiveExecutor::LiveExecutor() { ++live_executors; }
LiveExecutor::~LiveExecutor() { --live_executors; }

}  // namespace adapter
