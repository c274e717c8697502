#include "native/tensorrt_llm/library_path.h"

#include <link.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace adapter {
namespace {

constexpr char kVariable[] = "LD_LIBRARY_PATH";

// Every program searches these anyway.
bool IsOfTheSystem(const std::string& directory) {
  return directory.rfind("/lib", 0) == 0 || directory.rfind("/usr/lib", 0) == 0;
}

int AddDirectory(dl_phdr_info* library, size_t, void* directories) {
  const std::string path = library->dlpi_name;
  const std::string directory = path.substr(0, path.find_last_of('/') + 1);
  auto& found = *static_cast<std::vector<std::string>*>(directories);
  if (path.rfind('/', 0) == 0 && !IsOfTheSystem(directory) &&
      std::find(found.begin(), found.end(), directory) == found.end())
    found.push_back(directory);
  return 0;
}

}  // namespace

SharedLibraryPath::SharedLibraryPath() {
  std::vector<std::string> directories;
  dl_iterate_phdr(AddDirectory, &directories);
  if (const char* const value = std::getenv(kVariable)) before_ = value;
  std::string path = before_.value_or("");
  for (const std::string& directory : directories) path += (path.empty() ? "" : ":") + directory;
  setenv(kVariable, path.c_str(), 1);
}

SharedLibraryPath::~SharedLibraryPath() {
  if (before_)
    setenv(kVariable, before_->c_str(), 1);
  else
    unsetenv(kVariable);
}

}  // namespace adapter
