// Threads that do work in the order it comes, beside the steps.
#ifndef EMBEDDED_BACKGROUND_THREADS_H_
#define EMBEDDED_BACKGROUND_THREADS_H_

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace embedded {

// They start when there is work for them, at most so many.
class BackgroundThreads {
 public:
  explicit BackgroundThreads(size_t most) : most_(most) {}
  // Waits for what is being done, and drops the rest.
  ~BackgroundThreads();
  BackgroundThreads(const BackgroundThreads&) = delete;
  BackgroundThreads& operator=(const BackgroundThreads&) = delete;

  // Starts the first thread, so that no later Post throws. Throws executor::Failure where none can be started.
  void StartFirst();
  // `work` lets no exception out. Throws executor::Failure where there is no thread and none can be started.
  void Post(std::function<void()> work);

 private:
  void ThreadMain();

  size_t most_;
  std::mutex mutex_;  // of everything below
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;
  size_t idle_ = 0;
  bool is_ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace embedded

#endif  // EMBEDDED_BACKGROUND_THREADS_H_
