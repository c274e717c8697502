#include "native/embedded/cpu/thread_pool.h"

#include <algorithm>

#include "native/embedded/cpu/futex.h"
#include "native/executor/cpp/start_thread.h"

namespace embedded::cpu {
namespace {

uint32_t RunsOf(uint64_t ticket) { return (ticket >> 16) & 0xFFFF; }
uint32_t NextOf(uint64_t ticket) { return ticket & 0xFFFF; }
bool HasWork(uint64_t ticket) { return NextOf(ticket) < RunsOf(ticket); }

}  // namespace

ThreadPool::ThreadPool(int threads) {
  try {
    workers_.reserve(static_cast<size_t>(threads));
    for (int thread = 1; thread < threads; ++thread)
      workers_.push_back(executor::StartThread([this, thread] { WorkerMain(thread); }));
  } catch (...) {
    Stop();
    throw;
  }
}

ThreadPool::~ThreadPool() { Stop(); }

void ThreadPool::Stop() {
  stopping_ = true;
  wakeups_.fetch_add(1);
  FutexWake(&wakeups_, static_cast<int>(workers_.size()));
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::RunJob(int runs, Function function, const void* context) {
  if (runs <= 1 || workers_.empty()) {  // not worth a wake-up
    for (int run = 0; run < runs; ++run) function(context, run, 0);
    return;
  }
  function_.store(function, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  const uint64_t job = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
  ticket_.store(job << 32 | static_cast<uint64_t>(runs) << 16);
  if (sleepers_.load() > 0) {
    wakeups_.fetch_add(1);
    FutexWake(&wakeups_, static_cast<int>(workers_.size()));
  }
  while (TakeRun(0)) {
  }
  const auto all_done = [&] { return done_.load(std::memory_order_acquire) == static_cast<uint32_t>(runs); };
  while (!all_done() && !SpinUntil(all_done)) {
    caller_sleeps_ = 1;
    if (const uint32_t done = done_.load(); done != static_cast<uint32_t>(runs)) FutexWait(&done_, done);
    caller_sleeps_ = 0;
  }
}

bool ThreadPool::TakeRun(int thread) {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  while (HasWork(ticket)) {
    // If the exchange succeeds, the run was not taken until then, so its job was not over and these two are its own.
    const Function function = function_.load(std::memory_order_relaxed);
    const void* context = context_.load(std::memory_order_relaxed);
    if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel)) continue;
    function(context, static_cast<int>(NextOf(ticket)), thread);
    done_.fetch_add(1);
    if (caller_sleeps_.load() != 0) FutexWake(&done_, 1);
    return true;
  }
  return false;
}

void ThreadPool::WorkerMain(int thread) {
  const auto has_work = [this] { return stopping_.load() || HasWork(ticket_.load()); };
  while (!stopping_.load()) {
    if (TakeRun(thread) || SpinUntil(has_work)) continue;
    sleepers_.fetch_add(1);
    const uint32_t wakeups = wakeups_.load();
    if (!has_work()) FutexWait(&wakeups_, wakeups);
    sleepers_.fetch_sub(1);
  }
}

}  // namespace embedded::cpu
