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
    events_.Append(events);
    if (awake_) return;
    awake_ = true;
    ++wakeups_;
  }
  wake_();
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

uint64_t EnvironmentSink::wakeups() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return wakeups_;
}

}  // namespace addon
