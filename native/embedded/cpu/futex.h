// Waiting of threads for each other: first spinning, for tens of microseconds, then asleep in the kernel.
#ifndef EMBEDDED_CPU_FUTEX_H_
#define EMBEDDED_CPU_FUTEX_H_

#include <immintrin.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>

namespace embedded::cpu {

inline void FutexWait(std::atomic<uint32_t>* word, uint32_t expected) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(word), FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}

inline void FutexWake(std::atomic<uint32_t>* word, int count) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(word), FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

// True as soon as `ready` is, false after a while.
template <typename Ready>
bool SpinUntil(Ready ready) {
  constexpr auto kSpin = std::chrono::microseconds(50);
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 16; ++i) {
      if (ready()) return true;
      _mm_pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_FUTEX_H_
