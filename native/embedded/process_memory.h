// The host's memory, as this process may use it.
#ifndef EMBEDDED_PROCESS_MEMORY_H_
#define EMBEDDED_PROCESS_MEMORY_H_

#include <cstdint>
#include <limits>
#include <string>

namespace embedded {

// In bytes; the largest number where nothing says how much.
struct HostMemory {
  uint64_t limit = std::numeric_limits<uint64_t>::max();      // what this process can have at all, swap left aside
  uint64_t available = std::numeric_limits<uint64_t>::max();  // what it may still take
};

// The least of what the machine, the control groups that the process is in (version 1 or 2) with all above them, and the
// process's own limits allow. Page cache that no process maps counts as available: the kernel gives it back. What cannot
// be read limits nothing. `root` stands before the paths of the kernel's files.
HostMemory ReadHostMemory(const std::string& root = "");

// What this process has in RAM, in bytes.
uint64_t ResidentMemoryBytes();

}  // namespace embedded

#endif  // EMBEDDED_PROCESS_MEMORY_H_
