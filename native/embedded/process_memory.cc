#include "native/embedded/process_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace embedded {
namespace {

// The number behind `key` of a file such as /proc/meminfo, or `otherwise`.
uint64_t ReadNumber(const char* path, const std::string& key, uint64_t otherwise) {
  std::ifstream file(path);
  for (std::string word; file >> word;) {
    uint64_t value;
    if (word == key && file >> value) return value;
  }
  return otherwise;
}

uint64_t ReadNumber(const char* path, uint64_t otherwise) {
  std::ifstream file(path);
  uint64_t value;
  return file >> value ? value : otherwise;  // a control group without a limit says "max"
}

}  // namespace

uint64_t AvailableMemoryBytes() {
  constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();
  const uint64_t machine_kib = ReadNumber("/proc/meminfo", "MemAvailable:", kNoLimit >> 10);
  const uint64_t limit = ReadNumber("/sys/fs/cgroup/memory.max", kNoLimit);
  const uint64_t used = ReadNumber("/sys/fs/cgroup/memory.current", 0);
  return std::min(machine_kib << 10, limit > used ? limit - used : 0);
}

uint64_t ResidentMemoryBytes() { return ReadNumber("/proc/self/status", "VmRSS:", 0) << 10; }

}  // namespace embedded
