// The ranks of one engine on the CPU: a thread for each, and what they exchange through the memory that they share.
#ifndef EMBEDDED_CPU_RANK_TEAM_H_
#define EMBEDDED_CPU_RANK_TEAM_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "native/embedded/communicator.h"

namespace embedded::cpu {

// Threads that go on when all have come.
class Barrier {
 public:
  explicit Barrier(int threads) : threads_(static_cast<uint32_t>(threads)) {}
  void Wait();

 private:
  const uint32_t threads_;
  std::atomic<uint32_t> arrived_{0};
  std::atomic<uint32_t> phase_{0};
  std::atomic<uint32_t> sleepers_{0};
};

class RankTeam {
 public:
  // At least 1 rank. Throws executor::Failure where threads cannot be started.
  explicit RankTeam(int ranks);
  ~RankTeam();
  RankTeam(const RankTeam&) = delete;
  RankTeam& operator=(const RankTeam&) = delete;

  int ranks() const { return ranks_; }
  // Calls body(rank) for each rank, rank 0 on the calling thread, and returns when all are done. `body` may not throw:
  // the others would wait for its rank.
  void Run(const std::function<void(int rank)>& body);
  // The end of one rank, for use in `body`.
  Communicator* communicator(int rank) { return communicators_[static_cast<size_t>(rank)].get(); }

 private:
  class SharedMemory;

  void Start();
  void Stop();
  void ThreadMain(int rank);

  const int ranks_;
  std::atomic<uint32_t> runs_{0};  // that were started; what the threads wait for
  Barrier end_;
  Barrier exchange_;
  std::vector<float*> values_;       // by rank, of the AllReduce that runs
  std::vector<const float*> parts_;  // likewise, of the AllGather
  std::vector<std::unique_ptr<Communicator>> communicators_;
  const std::function<void(int rank)>* body_ = nullptr;
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;  // of ranks 1 and up
};

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_RANK_TEAM_H_
