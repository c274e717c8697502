#include "memory_limit.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<bool> limited{false};
std::atomic<size_t> smallest{0};
std::atomic<int64_t> passes{0};    // allocations that succeed first
std::atomic<int64_t> failures{0};  // that follow
std::atomic<bool> met{false};
thread_local bool is_exempt = false;

bool Fails(size_t size) {
  if (!limited || is_exempt || size < smallest) return false;
  if (passes.fetch_sub(1) > 0) return false;
  if (failures.fetch_sub(1) <= 0) return false;
  met = true;
  return true;
}

}  // namespace

MemoryLimit::MemoryLimit(size_t bytes, int64_t allocations, int64_t failing) {
  smallest = bytes;
  passes = allocations;
  failures = failing;
  met = false;
  is_exempt = true;
  limited = true;
}
MemoryLimit::~MemoryLimit() {
  limited = false;
  is_exempt = false;
}
bool MemoryLimit::was_met() const { return met; }

WithoutMemoryLimit::WithoutMemoryLimit() : was_exempt_(is_exempt) { is_exempt = true; }
WithoutMemoryLimit::~WithoutMemoryLimit() { is_exempt = was_exempt_; }

void* operator new(size_t size) {
  void* const memory = Fails(size) ? nullptr : std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
