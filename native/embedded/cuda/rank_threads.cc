#include "native/embedded/cuda/rank_threads.h"

#include <chrono>

#include "native/executor/cpp/failure.h"
#include "native/executor/cpp/start_thread.h"

namespace embedded::cuda {
namespace {

// std::condition_variable::wait needs a newer libstdc++ than a prebuilt library may ask for; wait_for does not.
constexpr auto kLongTime = std::chrono::hours(1);
// Ranks meet twice in each layer of a prompt's step: most come sooner than a thread wakes up.
constexpr auto kSpin = std::chrono::microseconds(50);

}  // namespace

template <typename Ready>
void RankThreads::WaitUntil(Ready ready) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 16; ++i) {
      if (ready()) return;
      __builtin_ia32_pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  std::unique_lock<std::mutex> lock(mutex_);
  while (!ready()) changed_.wait_for(lock, kLongTime);
}

void RankThreads::Wake() {
  { const std::lock_guard<std::mutex> lock(mutex_); }  // a waiting thread either sees the change or already sleeps
  changed_.notify_all();
}

RankThreads::RankThreads(int ranks) : ranks_(ranks) {
  threads_.reserve(static_cast<size_t>(ranks));
  try {
    for (int rank = 1; rank < ranks; ++rank)
      threads_.push_back(executor::StartThread([this, rank] { ThreadMain(rank); }));
  } catch (...) {
    Stop();
    throw;
  }
}

RankThreads::~RankThreads() { Stop(); }

void RankThreads::Stop() {
  stopping_ = true;
  ++runs_;
  Wake();
  for (std::thread& thread : threads_) thread.join();
}

void RankThreads::Run(const std::function<void(int rank)>& body) {
  if (ranks_ == 1) return body(0);
  body_ = &body;
  failed_ = false;
  failure_ = nullptr;
  arrived_ = 0;
  running_ = ranks_;
  ++runs_;
  Wake();
  RunRank(0);
  WaitUntil([this] { return running_ == 0; });
  const std::lock_guard<std::mutex> lock(mutex_);
  if (failure_) std::rethrow_exception(failure_);
}

void RankThreads::RunRank(int rank) noexcept {
  try {
    (*body_)(rank);
  } catch (...) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!failure_) failure_ = std::current_exception();
    failed_ = true;
  }
  const bool wakes = failed_;
  if (--running_ == 0 || wakes) Wake();
}

void RankThreads::Meet() {
  const uint32_t meetings = meetings_;
  if (arrived_.fetch_add(1) + 1 == ranks_) {
    arrived_ = 0;
    ++meetings_;
    return Wake();
  }
  WaitUntil([&] { return meetings_ != meetings || failed_; });
  // Not what Run throws: the failure that came first is.
  if (meetings_ == meetings) throw executor::Failure(EXECUTOR_FAILED, "Another rank failed.");
}

void RankThreads::ThreadMain(int rank) {
  for (uint32_t run = 0;; ++run) {
    WaitUntil([&] { return runs_ != run; });
    if (stopping_) return;
    RunRank(rank);
  }
}

}  // namespace embedded::cuda
