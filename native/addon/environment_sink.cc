#include "native/addon/environment_sink.h"

#include <utility>

namespace addon {

void EnvironmentSink::Post(Events* events) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) {
      events->Clear();
      return;
    }
    if (events->empty() && !wakes_again_) return;
    events_.Append(events);
    wakes_again_ = false;
    if (awake_) return;
    awake_ = true;
    ++wakeups_;
  }
  try {
    wake_();
  } catch (...) {
    const std::lock_guard<std::mutex> lock(mutex_);
    awake_ = false;
    wakes_again_ = true;
    --wakeups_;
    throw;
  }
}

void EnvironmentSink::Take(Events* events) {
  const std::lock_guard<std::mutex> lock(mutex_);
  awake_ = false;
  std::swap(events_, *events);
}

void EnvironmentSink::Close() {
  const std::lock_guard<std::mutex> lock(mutex_);
  closed_ = true;
  events_.Clear();
}

bool EnvironmentSink::is_closed() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return closed_;
}

uint64_t EnvironmentSink::wakeups() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return wakeups_;
}

}  // namespace addon
