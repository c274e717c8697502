// Where a test finds what was built with it and what lies in the sources: from its own program on, so that a tree can be
// copied with what was built in it.
#ifndef TEST_NATIVE_PATHS_H_
#define TEST_NATIVE_PATHS_H_

#include <filesystem>
#include <string>

// `relative` starts at the directory of the program that runs.
inline std::string FromProgram(const std::string& relative) {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / relative).lexically_normal().string();
}

#endif  // TEST_NATIVE_PATHS_H_
