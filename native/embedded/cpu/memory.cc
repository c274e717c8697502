#include "native/embedded/cpu/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <new>
#include <string>
#include <utility>

namespace embedded {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;

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

PagedMemory::PagedMemory(size_t bytes, PageSize page_size) {
  const bool huge = page_size == PageSize::kHuge;
  if (bytes > std::numeric_limits<size_t>::max() - kHugePageBytes) throw std::bad_alloc();
  mapping_bytes_ = std::max<size_t>(bytes, 1) + (huge ? kHugePageBytes : 0);
  mapping_ = mmap(nullptr, mapping_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping_ == MAP_FAILED) {
    mapping_ = nullptr;
    throw std::bad_alloc();
  }
  data_ = mapping_;
  if (!huge) return;
  const auto address = reinterpret_cast<uintptr_t>(mapping_);
  data_ = reinterpret_cast<void*>((address + kHugePageBytes - 1) & ~(kHugePageBytes - 1));
  madvise(data_, bytes, MADV_HUGEPAGE);  // only a hint: without huge pages it is slower, not wrong
}

PagedMemory::PagedMemory(PagedMemory&& other) noexcept { *this = std::move(other); }

PagedMemory& PagedMemory::operator=(PagedMemory&& other) noexcept {
  std::swap(mapping_, other.mapping_);
  std::swap(mapping_bytes_, other.mapping_bytes_);
  std::swap(data_, other.data_);
  return *this;
}

PagedMemory::~PagedMemory() {
  if (mapping_ != nullptr) munmap(mapping_, mapping_bytes_);
}

uint64_t AvailableMemoryBytes() {
  constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();
  const uint64_t machine_kib = ReadNumber("/proc/meminfo", "MemAvailable:", kNoLimit >> 10);
  const uint64_t limit = ReadNumber("/sys/fs/cgroup/memory.max", kNoLimit);
  const uint64_t used = ReadNumber("/sys/fs/cgroup/memory.current", 0);
  return std::min(machine_kib << 10, limit > used ? limit - used : 0);
}

uint64_t ResidentMemoryBytes() { return ReadNumber("/proc/self/status", "VmRSS:", 0) << 10; }

}  // namespace embedded
