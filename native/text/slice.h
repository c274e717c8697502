#ifndef TEXT_SLICE_H_
#define TEXT_SLICE_H_

#include <chrono>
#include <cstdint>

namespace text {

// How long work may go on before it must let go of its thread. Reading the clock takes longer than a piece of the work.
class Slice {
 public:
  using Clock = std::chrono::steady_clock;

  // `step`: how much work, about a byte of text each, is done between two looks at the clock.
  explicit Slice(Clock::time_point end, uint32_t step = 4096) : end_(end), step_(step) {}

  // Counts work that was done. Whoever gets true stops at the next place where it can go on later.
  bool IsOver(size_t work) {
    done_ += work;
    if (done_ >= step_) {
      done_ = 0;
      over_ = over_ || Clock::now() >= end_;
    }
    return over_;
  }

 private:
  Clock::time_point end_;
  uint32_t step_;
  size_t done_ = 0;
  bool over_ = false;
};

}  // namespace text

#endif  // TEXT_SLICE_H_
