// The threads that submit the work of an engine's ranks, one for each rank: a launch may wait for room in its GPU's queue, and may
// not keep back what another rank launches meanwhile.
#ifndef EMBEDDED_CUDA_RANK_THREADS_H_
#define EMBEDDED_CUDA_RANK_THREADS_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace embedded::cuda {

class RankThreads {
 public:
  // At least 1 rank. Throws executor::Failure where threads cannot be started.
  explicit RankThreads(int ranks);
  ~RankThreads();
  RankThreads(const RankThreads&) = delete;
  RankThreads& operator=(const RankThreads&) = delete;

  int ranks() const { return ranks_; }
  // Calls body(rank) for each rank, rank 0 on the calling thread, and returns when all have ended. Throws what the first one threw.
  void Run(const std::function<void(int rank)>& body);
  // In a body: returns when all ranks have come, and throws where one has failed.
  void Meet();

 private:
  void RunRank(int rank) noexcept;
  void ThreadMain(int rank);
  void Stop();
  template <typename Ready>
  void WaitUntil(Ready ready);
  void Wake();

  const int ranks_;
  const std::function<void(int rank)>* body_ = nullptr;
  std::atomic<uint32_t> runs_{0};      // that were started; what the threads wait for
  std::atomic<int> running_{0};        // ranks
  std::atomic<int> arrived_{0};        // ranks in Meet
  std::atomic<uint32_t> meetings_{0};  // that are over
  std::atomic<bool> failed_{false};
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::exception_ptr failure_;        // the first; under the mutex
  std::vector<std::thread> threads_;  // of ranks 1 and up
};

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_RANK_THREADS_H_
