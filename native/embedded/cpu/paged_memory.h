// Zeroed memory straight from the kernel: a page takes room only once it is written.
#ifndef EMBEDDED_CPU_PAGED_MEMORY_H_
#define EMBEDDED_CPU_PAGED_MEMORY_H_

#include <cstddef>
#include <cstdint>

namespace embedded::cpu {

enum class PageSize { kDefault, kHuge };

// Owns an anonymous mapping. With kHuge it starts at a multiple of 2 MiB and asks for 2 MiB pages (fewer TLB misses
// while weights stream by).
class PagedMemory {
 public:
  PagedMemory() = default;
  // Throws std::bad_alloc.
  PagedMemory(size_t bytes, PageSize page_size);
  PagedMemory(PagedMemory&& other) noexcept;
  PagedMemory& operator=(PagedMemory&& other) noexcept;
  PagedMemory(const PagedMemory&) = delete;
  PagedMemory& operator=(const PagedMemory&) = delete;
  ~PagedMemory();

  void* data() const { return data_; }
  float* floats() const { return static_cast<float*>(data_); }

 private:
  void* mapping_ = nullptr;
  size_t mapping_bytes_ = 0;
  void* data_ = nullptr;
};

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_PAGED_MEMORY_H_
