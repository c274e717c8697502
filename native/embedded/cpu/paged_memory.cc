#include "native/embedded/cpu/paged_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

namespace embedded::cpu {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;

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

}  // namespace embedded::cpu
