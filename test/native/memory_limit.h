// Memory that runs out for C++'s operator new.
#ifndef TEST_NATIVE_MEMORY_LIMIT_H_
#define TEST_NATIVE_MEMORY_LIMIT_H_

#include <cstddef>
#include <cstdint>

// While it lives, allocations fail on every thread but the one that made it. One at a time.
class MemoryLimit {
 public:
  // Those of this many bytes and more.
  static MemoryLimit OfBytes(size_t bytes) { return MemoryLimit(bytes, 0, INT64_MAX); }
  // So many, after the first `allocations`.
  static MemoryLimit After(int64_t allocations, int64_t failures) { return MemoryLimit(0, allocations, failures); }
  ~MemoryLimit();
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;

  // Whether an allocation has failed.
  bool was_met() const;

 private:
  MemoryLimit(size_t bytes, int64_t allocations, int64_t failures);
};

// While it lives, no limit holds for its thread: for what the test itself does there.
class WithoutMemoryLimit {
 public:
  WithoutMemoryLimit();
  ~WithoutMemoryLimit();
  WithoutMemoryLimit(const WithoutMemoryLimit&) = delete;
  WithoutMemoryLimit& operator=(const WithoutMemoryLimit&) = delete;

 private:
  const bool was_exempt_;
};

#endif  // TEST_NATIVE_MEMORY_LIMIT_H_
