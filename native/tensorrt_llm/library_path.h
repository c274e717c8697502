// Where the programs that this process starts look for shared libraries.
#ifndef ADAPTER_LIBRARY_PATH_H_
#define ADAPTER_LIBRARY_PATH_H_

#include <optional>
#include <string>

namespace adapter {

// While one exists, LD_LIBRARY_PATH also has the directories of the libraries that this process has loaded, after the user's.
// The executor library finds TensorRT-LLM and its dependencies by its own search path, which TensorRT-LLM's programs, such as
// executorWorker, do not have.
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
