// Where the programs that this process starts look for shared libraries.
#ifndef ADAPTER_LIBRARY_PATH_H_
#define ADAPTER_LIBRARY_PATH_H_

#include <optional>
#include <string>

namespace adapter {

// While one lives, LD_LIBRARY_PATH names the directories too that this process has its own libraries from, behind those of the
// user. The executor library finds TensorRT-LLM and what that needs by its search path, which a program of TensorRT-LLM's
// own, such as executorWorker, does not have.
class SharedLibraryPath {
 public:
  SharedLibraryPath();
  ~SharedLibraryPath();
  SharedLibraryPath(const SharedLibraryPath&) = delete;
  SharedLibraryPath& operator=(const SharedLibraryPath&) = delete;

 private:
  std::optional<std::string> before_;
};

}  // namespace adapter

#endif  // ADAPTER_LIBRARY_PATH_H_
