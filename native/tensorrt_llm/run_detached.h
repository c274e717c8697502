// Calls into the library that may take minutes, or never return.
#ifndef ADAPTER_RUN_DETACHED_H_
#define ADAPTER_RUN_DETACHED_H_

#include <chrono>
#include <functional>
#include <future>
#include <utility>

#include "native/executor/cpp/start_thread.h"

namespace adapter {

// Runs `work` on a thread of its own and waits for its end, for as long as goes_on, asked every 100 ms, says so. Answers
// whether it has ended; what has not is left to itself, and so must own what it uses. Throws what
// `work` throws, and a Failure where no thread can be started; `work` is destroyed then.
inline bool RunDetached(std::function<void()> work, const std::function<bool()>& goes_on) {
  std::packaged_task<void()> task(std::move(work));
  std::future<void> end = task.get_future();
  executor::StartThread(std::move(task)).detach();
  while (end.wait_for(std::chrono::milliseconds(100)) != std::future_status::ready)
    if (!goes_on()) return false;
  end.get();
  return true;
}

}  // namespace adapter

#endif  // ADAPTER_RUN_DETACHED_H_
