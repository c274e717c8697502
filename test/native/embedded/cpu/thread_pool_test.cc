#include "native/embedded/cpu/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <numeric>
#include <vector>

namespace embedded::cpu {
namespace {

TEST(ThreadPool, ComputesEveryPieceOnceWhateverTheNumbers) {
  for (const int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    for (const int pieces : {0, 1, 2, 15, 16, 17, 1000, 200000}) {
      const auto counts = std::make_unique<std::atomic<int>[]>(static_cast<size_t>(pieces));
      pool.Run(pieces, [&](int piece, int) { ++counts[static_cast<size_t>(piece)]; });
      for (int piece = 0; piece < pieces; ++piece) ASSERT_EQ(counts[static_cast<size_t>(piece)], 1) << piece;
    }
  }
}

TEST(ThreadPool, WhatAJobWroteIsThereForTheNextOne) {
  ThreadPool pool(3);
  std::vector<int> values(1000);
  for (int round = 0; round < 3000; ++round)
    pool.Run(1000, [&](int piece, int) { values[static_cast<size_t>(piece)] += piece % 3; });
  for (int piece = 0; piece < 1000; ++piece) ASSERT_EQ(values[static_cast<size_t>(piece)], 3000 * (piece % 3));
}

TEST(ThreadPool, NoTwoPiecesAreComputedUnderOneThreadNumberAtATime) {
  ThreadPool pool(4);
  std::atomic<bool> busy[4] = {};
  std::atomic<int> overlaps{0};
  for (int round = 0; round < 200; ++round)
    pool.Run(100, [&](int, int thread) {
      if (busy[thread].exchange(true)) ++overlaps;
      busy[thread] = false;
    });
  EXPECT_EQ(overlaps, 0);
}

TEST(ThreadPool, WorkersThatSleepWakeUpForTheNextJob) {
  ThreadPool pool(2);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // far longer than they spin
    std::atomic<int> sum{0};
    pool.Run(100, [&](int piece, int) { sum += piece; });
    EXPECT_EQ(sum, 4950);
  }
}

}  // namespace
}  // namespace embedded::cpu
