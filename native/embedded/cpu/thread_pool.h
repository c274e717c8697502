// The threads that compute a step. They share out the pieces of one job at a time.
#ifndef EMBEDDED_CPU_THREAD_POOL_H_
#define EMBEDDED_CPU_THREAD_POOL_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace embedded::cpu {

// Run is called by one thread at a time; that thread takes part. A thread without work spins for tens of microseconds,
// long enough for the next layer's job, and then sleeps in the kernel: an idle pool uses no CPU.
//
// A run of pieces is taken by one compare-and-swap of a ticket that holds the job's number and how far it is, so
// the other threads do the share of a worker that the kernel does not run.
class ThreadPool {
 public:
  // `threads` counts the caller of Run; at least 1.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(piece, thread) for each piece in [0, pieces) and returns when all are done. Neighbours are computed by
  // one thread, one after the other, in runs of about a quarter of a thread's share. `body` may not throw; `thread` is
  // in [0, threads()), for scratch of its own.
  template <typename Body>
  void Run(int pieces, const Body& body) {
    const int64_t runs = std::min<int64_t>(pieces, int64_t{kRunsPerThread} * threads());
    const auto run_body = [&](int64_t run, int thread) {
      const int end = static_cast<int>((run + 1) * pieces / runs);
      for (int piece = static_cast<int>(run * pieces / runs); piece < end; ++piece) body(piece, thread);
    };
    using RunBody = decltype(run_body);
    RunJob(
        static_cast<int>(runs),
        [](const void* context, int run, int thread) { (*static_cast<const RunBody*>(context))(run, thread); },
        &run_body);
  }

 private:
  using Function = void (*)(const void* context, int run, int thread);

  static constexpr int kRunsPerThread = 4;

  void RunJob(int runs, Function function, const void* context);
  void Stop();
  void WorkerMain(int thread);
  bool TakeRun(int thread);

  // Job number (32 bits), runs (16 bits), next run (16 bits).
  std::atomic<uint64_t> ticket_{0};
  std::atomic<Function> function_{nullptr};
  std::atomic<const void*> context_{nullptr};
  std::atomic<uint32_t> done_{0};  // runs of this job; also what the caller sleeps on
  std::atomic<uint32_t> caller_sleeps_{0};
  std::atomic<uint32_t> wakeups_{0};  // what workers sleep on
  std::atomic<uint32_t> sleepers_{0};
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> workers_;
};

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_THREAD_POOL_H_
