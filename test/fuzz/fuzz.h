// What the fuzzers share: a promise that must hold for any input, and a reader's input as a file.
#ifndef TEST_FUZZ_FUZZ_H_
#define TEST_FUZZ_FUZZ_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace fuzz {

// libFuzzer keeps the input of a process that aborts.
inline void Require(bool holds, std::string_view promise, std::string_view found = "") {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %.*s %.*s\n", static_cast<int>(promise.size()), promise.data(),
               static_cast<int>(found.size()), found.data());
  std::abort();
}

// A file of this process, in a directory of its own below TMPDIR; each Write replaces what it holds.
class ScratchFile {
 public:
  explicit ScratchFile(const std::string& name) {
    std::string directory = std::filesystem::temp_directory_path() / "fuzz-XXXXXX";
    Require(mkdtemp(directory.data()) != nullptr, "TMPDIR can be written");
    directory_ = directory;
    path_ = directory + "/" + name;
  }
  ~ScratchFile() { std::filesystem::remove_all(directory_); }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  void Write(std::string_view bytes) const {
    std::ofstream file(path_, std::ios::binary | std::ios::trunc);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  const std::string& directory() const { return directory_; }
  const std::string& path() const { return path_; }

 private:
  std::string directory_;
  std::string path_;
};

}  // namespace fuzz

#endif  // TEST_FUZZ_FUZZ_H_
