#include "native/embedded/cpu/rank_team.h"

#include <algorithm>

#include "native/embedded/cpu/futex.h"
#include "native/executor/cpp/start_thread.h"

namespace embedded::cpu {

void Barrier::Wait() {
  const uint32_t phase = phase_.load();
  if (arrived_.fetch_add(1) + 1 == threads_) {
    arrived_ = 0;
    phase_ = phase + 1;
    if (sleepers_.load() > 0) FutexWake(&phase_, static_cast<int>(threads_));
    return;
  }
  const auto is_over = [&] { return phase_.load() != phase; };
  if (SpinUntil(is_over)) return;
  sleepers_.fetch_add(1);
  while (!is_over()) FutexWait(&phase_, phase);
  sleepers_.fetch_sub(1);
}

class RankTeam::SharedMemory : public Communicator {
 public:
  SharedMemory(RankTeam* team, int rank) : team_(*team), rank_(rank) {}

  int rank() const override { return rank_; }
  int ranks() const override { return team_.ranks_; }

  // Each rank adds up its share of the values, of all ranks, and gives it to all of them.
  void AllReduce(float* values, size_t count) override {
    const size_t ranks = static_cast<size_t>(team_.ranks_);
    team_.values_[static_cast<size_t>(rank_)] = values;
    team_.exchange_.Wait();
    const size_t first = count * static_cast<size_t>(rank_) / ranks;
    const size_t end = count * static_cast<size_t>(rank_ + 1) / ranks;
    float sums[kChunk];
    for (size_t at = first; at < end; at += kChunk) {
      const size_t length = std::min(kChunk, end - at);
      std::copy_n(team_.values_[0] + at, length, sums);
      for (size_t from = 1; from < ranks; ++from) {
        const float* const part = team_.values_[from] + at;
        for (size_t i = 0; i < length; ++i) sums[i] += part[i];
      }
      for (float* const to : team_.values_) std::copy_n(sums, length, to + at);
    }
    team_.exchange_.Wait();
  }

  void AllGather(const float* part, size_t count, float* all) override {
    team_.parts_[static_cast<size_t>(rank_)] = part;
    team_.exchange_.Wait();
    if (all != nullptr)
      for (const float* const from : team_.parts_) all = std::copy_n(from, count, all);
    team_.exchange_.Wait();
  }

 private:
  static constexpr size_t kChunk = 1024;  // stays in the first-level cache

  RankTeam& team_;
  const int rank_;
};

RankTeam::RankTeam(int ranks)
    : ranks_(ranks),
      end_(ranks),
      exchange_(ranks),
      values_(static_cast<size_t>(ranks)),
      parts_(static_cast<size_t>(ranks)) {
  for (int rank = 0; rank < ranks; ++rank) communicators_.push_back(std::make_unique<SharedMemory>(this, rank));
  threads_.reserve(static_cast<size_t>(ranks));
  try {
    for (int rank = 1; rank < ranks; ++rank)
      threads_.push_back(executor::StartThread([this, rank] { ThreadMain(rank); }));
  } catch (...) {
    Stop();
    throw;
  }
}

RankTeam::~RankTeam() { Stop(); }

void RankTeam::Start() {
  runs_.fetch_add(1);
  FutexWake(&runs_, static_cast<int>(threads_.size()));
}

void RankTeam::Stop() {
  stopping_ = true;
  Start();
  for (std::thread& thread : threads_) thread.join();
}

void RankTeam::Run(const std::function<void(int rank)>& body) {
  body_ = &body;
  if (ranks_ > 1) Start();
  body(0);
  if (ranks_ > 1) end_.Wait();
}

void RankTeam::ThreadMain(int rank) {
  for (uint32_t run = 0;; ++run) {
    const auto is_started = [&] { return runs_.load() != run; };
    if (!SpinUntil(is_started))
      while (!is_started()) FutexWait(&runs_, run);
    if (stopping_) return;
    (*body_)(rank);
    end_.Wait();
  }
}

}  // namespace embedded::cpu
