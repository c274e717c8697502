#include "native/embedded/process_memory.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>
#include <unordered_map>

#include "native/embedded/control_groups.h"

namespace embedded {
namespace {

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

// None for "max", "unlimited", or what is no number at all.
std::optional<uint64_t> Number(const std::string& word) {
  if (word.empty() || word.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  return std::strtoull(word.c_str(), nullptr, 10);  // the largest number where it is larger
}

std::optional<uint64_t> ReadNumber(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return Number(word);
}

// A file of lines that each are a key and a number: /proc/meminfo, memory.stat.
class Table {
 public:
  explicit Table(const std::string& path) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      std::istringstream words(line);
      std::string key, value;
      words >> key >> value;
      if (const auto number = Number(value)) numbers_.emplace(key, *number);
    }
  }
  std::optional<uint64_t> Find(const std::string& key) const {
    const auto found = numbers_.find(key);
    return found == numbers_.end() ? std::nullopt : std::make_optional(found->second);
  }
  uint64_t Get(const std::string& key) const { return Find(key).value_or(0); }

 private:
  std::unordered_map<std::string, uint64_t> numbers_;
};

uint64_t Bytes(std::optional<uint64_t> kib) { return kib && *kib < kNoLimit >> 10 ? *kib << 10 : kNoLimit; }
uint64_t Difference(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }
uint64_t Sum(uint64_t a, uint64_t b) { return a < kNoLimit - b ? a + b : kNoLimit; }

void Apply(uint64_t limit, uint64_t used, HostMemory* memory) {
  if (limit > kNoLimit / 4) return;  // version 1 writes "no limit" as a huge number
  memory->limit = std::min(memory->limit, limit);
  memory->available = std::min(memory->available, Difference(limit, used));
}

void ApplyMachine(const std::string& root, HostMemory* memory) {
  const Table table(root + "/proc/meminfo");
  memory->limit = std::min(memory->limit, Bytes(table.Find("MemTotal:")));
  memory->available = std::min(memory->available, Bytes(table.Find("MemAvailable:")));
}

// Page cache is in one of the two lists of files; what some process maps is in use.
uint64_t Reclaimable(const Table& stat, ControlGroup::Version version) {
  const std::string prefix =
      version == ControlGroup::Version::k2 ? "" : "total_";  // the others leave out the groups below
  const char* const mapped = version == ControlGroup::Version::k2 ? "file_mapped" : "total_mapped_file";
  const uint64_t files = Sum(stat.Get(prefix + "inactive_file"), stat.Get(prefix + "active_file"));
  return Sum(Difference(files, stat.Get(mapped)), stat.Get("slab_reclaimable"));  // version 1 does not know the last
}

void ApplyGroup(const ControlGroup& group, HostMemory* memory) {
  const auto& [version, directory] = group;
  const Table stat(directory + "/memory.stat");
  uint64_t limit = kNoLimit;
  if (version == ControlGroup::Version::k2) {
    for (const char* name : {"/memory.max", "/memory.high"})  // above the second the kernel slows the process to a halt
      limit = std::min(limit, ReadNumber(directory + name).value_or(kNoLimit));
  } else {
    limit = std::min(ReadNumber(directory + "/memory.limit_in_bytes").value_or(kNoLimit),
                     stat.Find("hierarchical_memory_limit").value_or(kNoLimit));
  }
  const char* const usage = version == ControlGroup::Version::k2 ? "/memory.current" : "/memory.usage_in_bytes";
  const uint64_t used = ReadNumber(directory + usage).value_or(0);
  Apply(limit, Difference(used, Reclaimable(stat, version)), memory);
}

// ulimit -v and -d.
void ApplyProcess(const std::string& root, HostMemory* memory) {
  const Table status(root + "/proc/self/status");
  std::ifstream file(root + "/proc/self/limits");
  for (std::string line; std::getline(file, line);) {
    for (const auto& [name, key] : {std::pair("Max address space", "VmSize:"), std::pair("Max data size", "VmData:")}) {
      if (line.rfind(name, 0) != 0) continue;
      std::istringstream words(line.substr(std::string_view(name).size()));
      std::string soft;
      words >> soft;
      if (const auto limit = Number(soft)) Apply(*limit, Bytes(status.Find(key).value_or(0)), memory);
    }
  }
}

}  // namespace

HostMemory ReadHostMemory(const std::string& root) {
  HostMemory memory;
  ApplyMachine(root, &memory);
  for (const ControlGroup& group : ControlGroupsOf("memory", root)) ApplyGroup(group, &memory);
  ApplyProcess(root, &memory);
  return memory;
}

uint64_t ResidentMemoryBytes() { return Table("/proc/self/status").Get("VmRSS:") << 10; }

}  // namespace embedded
