// What of TensorRT-LLM belongs to the process: the library, its plugins, MPI and signal handlers.
#ifndef ADAPTER_LIBRARY_H_
#define ADAPTER_LIBRARY_H_

#include <csignal>
#include <string>

namespace adapter {

// The directory of the libtensorrt_llm.so that is loaded.
std::string LibraryDir();

// Throws executor::Failure with EXECUTOR_UNAVAILABLE if another version is loaded than the one compiled against: the
// layout of the library's classes changes with every version.
void CheckLibraryVersion();

// Registers the plugins that engines are made of; once a process. Throws EXECUTOR_UNAVAILABLE.
void LoadPlugins(const std::string& library_dir);

// Starts MPI where the library links it and nobody has started it yet. Whoever starts MPI ends it: the library would take
// over SIGABRT and SIGSEGV and end MPI at exit, under executors that still run.
void StartMpi();

// Counts an executor as alive: while one is, MPI is not ended at exit.
class LiveExecutor {
 public:
  LiveExecutor();
  ~LiveExecutor();
  LiveExecutor(const LiveExecutor&) = delete;
  LiveExecutor& operator=(const LiveExecutor&) = delete;
};

// Gives the handlers of fatal signals back at the end of its scope: MPI, UCX and the library replace them, and V8 needs
// its own.
class SavedSignalHandlers {
 public:
  SavedSignalHandlers();
  ~SavedSignalHandlers();
  SavedSignalHandlers(const SavedSignalHandlers&) = delete;
  SavedSignalHandlers& operator=(const SavedSignalHandlers&) = delete;

 private:
  static constexpr int kSignals[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV};
  struct sigaction saved_[std::size(kSignals)];
};

}  // namespace adapter

#endif  // ADAPTER_LIBRARY_H_
