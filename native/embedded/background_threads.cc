#include "native/embedded/background_threads.h"

#include <chrono>
#include <utility>

#include "native/executor/cpp/failure.h"
#include "native/executor/cpp/start_thread.h"

namespace embedded {

BackgroundThreads::~BackgroundThreads() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_ending_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void BackgroundThreads::StartFirst() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (threads_.empty()) threads_.push_back(executor::StartThread([this] { ThreadMain(); }));
}

void BackgroundThreads::Post(std::function<void()> work) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (work_.size() >= idle_ && threads_.size() < most_) try {
        threads_.push_back(executor::StartThread([this] { ThreadMain(); }));
      } catch (const executor::Failure&) {
        if (threads_.empty()) throw;  // else the others do it
      }
    work_.push_back(std::move(work));
  }
  changed_.notify_one();
}

void BackgroundThreads::ThreadMain() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!is_ending_) {
    if (work_.empty()) {
      ++idle_;
      changed_.wait_for(lock, std::chrono::hours(1));  // see kLongTime of executor.cc
      --idle_;
      continue;
    }
    const std::function<void()> work = std::move(work_.front());
    work_.pop_front();
    lock.unlock();
    work();
    lock.lock();
  }
}

}  // namespace embedded
