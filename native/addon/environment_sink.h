// Who receives the events of the requests that one environment has on one session. The pump thread posts them, the
// environment's event loop takes them; however many steps came in between, that is one wake-up.
#ifndef ADDON_ENVIRONMENT_SINK_H_
#define ADDON_ENVIRONMENT_SINK_H_

#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>

#include "native/addon/events.h"

namespace addon {

class EnvironmentSink {
 public:
  // `wake` asks the event loop to call Take soon; it is called without a lock held, from any thread.
  explicit EnvironmentSink(std::function<void()> wake) : wake_(std::move(wake)) {}

  // The pump's side: moves what `events` holds, if anything, to the environment and wakes it if it is not awake already.
  // Where memory runs out it throws, and the next call does what is left.
  void Post(Events* events);
  // The environment's side: everything that was posted. `events` should be empty; its memory is reused.
  void Take(Events* events);
  // The environment ends: what is posted from now on is dropped, and nothing wakes it.
  void Close();
  bool is_closed() const;
  uint64_t wakeups() const;

 private:
  const std::function<void()> wake_;
  mutable std::mutex mutex_;
  Events events_;
  bool awake_ = false;
  bool wakes_again_ = false;  // it has events and was not woken
  bool closed_ = false;
  uint64_t wakeups_ = 0;
};

}  // namespace addon

#endif  // ADDON_ENVIRONMENT_SINK_H_
