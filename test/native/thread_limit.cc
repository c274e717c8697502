// Stands before the C library's pthread_create, in a test program or, preloaded, in Node.js; there the variable THREAD_LIMIT
// sets the limit, anew whenever its value changes.
#include "thread_limit.h"

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int kNoLimit = 1 << 30;
std::atomic<int> starts_left{kNoLimit};
std::atomic<int> failed{0};

void ReadVariable() {
  static char last[32] = "";
  const char* limit = std::getenv("THREAD_LIMIT");
  if (limit == nullptr || std::strncmp(limit, last, sizeof(last) - 1) == 0) return;
  std::strncpy(last, limit, sizeof(last) - 1);
  starts_left = std::atoi(limit);
}

}  // namespace

ThreadLimit::ThreadLimit(int starts) {
  failed = 0;
  starts_left = starts;
}
ThreadLimit::~ThreadLimit() { starts_left = kNoLimit; }
bool ThreadLimit::was_met() const { return failed > 0; }

extern "C" __attribute__((visibility("default"))) int pthread_create(pthread_t* thread,
                                                                     const pthread_attr_t* attributes,
                                                                     void* (*start)(void*), void* argument) {
  static const auto create = reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
  ReadVariable();
  if (starts_left < kNoLimit && starts_left.fetch_sub(1) <= 0) {
    ++failed;
    return EAGAIN;
  }
  return create(thread, attributes, start, argument);
}
