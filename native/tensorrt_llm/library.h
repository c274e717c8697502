// What of TensorRT-LLM belongs to the process: the library, its plugins and signal handlers.
#ifndef ADAPTER_LIBRARY_H_
#define ADAPTER_LIBRARY_H_

#include <string>

namespace adapter {

// The directory of the libtensorrt_llm.so that is loaded.
std::string LibraryDir();

// Throws executor::Failure with EXECUTOR_UNAVAILABLE if another version is loaded than the one compiled against: the
// layout of the library's classes changes with every version.
void CheckLibraryVersion();

// Registers the plugins that engines are made of; once a process. Throws EXECUTOR_UNAVAILABLE.
void LoadPlugins(const std::string& library_dir);

// Gives the handlers of fatal signals back at the end of its scope: MPI, UCX and the library replace them, and V8 needs
// its own. Of scopes that overlap, on several threads, each gives back those that the first has found.
class SavedSignalHandlers {
 public:
  SavedSignalHandlers();
  ~SavedSignalHandlers();
  SavedSignalHandlers(const SavedSignalHandlers&) = delete;
  SavedSignalHandlers& operator=(const SavedSignalHandlers&) = delete;
};

}  // namespace adapter

#endif  // ADAPTER_LIBRARY_H_
