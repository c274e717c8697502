// The host's memory, as this process may use it.
#ifndef EMBEDDED_PROCESS_MEMORY_H_
#define EMBEDDED_PROCESS_MEMORY_H_

#include <cstdint>

namespace embedded {

// What this process may still take, in bytes: the machine's free memory or, where it is less, the control group's.
uint64_t AvailableMemoryBytes();

// What this process has in RAM, in bytes.
uint64_t ResidentMemoryBytes();

}  // namespace embedded

#endif  // EMBEDDED_PROCESS_MEMORY_H_
