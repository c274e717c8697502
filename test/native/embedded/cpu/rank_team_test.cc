#include "native/embedded/cpu/rank_team.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace embedded::cpu {
namespace {

TEST(RankTeam, RunsEachRankOnce) {
  for (const int ranks : {1, 2, 5}) {
    RankTeam team(ranks);
    std::vector<std::atomic<int>> runs(static_cast<size_t>(ranks));
    for (int i = 0; i < 100; ++i) team.Run([&](int rank) { ++runs[static_cast<size_t>(rank)]; });
    for (const std::atomic<int>& each : runs) EXPECT_EQ(each, 100);
  }
}

// Sums that depend on their order: every rank gets those of ranks 0, 1, 2, ... and the same bits as the others.
TEST(RankTeam, AllReduceAddsUpInTheOrderOfRanks) {
  constexpr int kRanks = 3;
  RankTeam team(kRanks);
  for (const size_t count : {size_t{1}, size_t{2}, size_t{1023}, size_t{5000}}) {
    std::vector<std::vector<float>> values(kRanks);
    for (int rank = 0; rank < kRanks; ++rank)
      for (size_t i = 0; i < count; ++i)
        values[rank].push_back(rank == 0 ? 1e8f : rank == 1 ? -1e8f : static_cast<float>(i) * 0.37f);
    std::vector<float> expected(count);
    for (size_t i = 0; i < count; ++i) expected[i] = values[0][i] + values[1][i] + values[2][i];
    team.Run([&](int rank) { team.communicator(rank)->AllReduce(values[static_cast<size_t>(rank)].data(), count); });
    for (const std::vector<float>& each : values) EXPECT_EQ(each, expected);
  }
}

TEST(RankTeam, AllGatherPutsThePartsInTheOrderOfRanksWhereTheyAreWanted) {
  RankTeam team(2);
  std::vector<float> parts[] = {{1, 2, 3}, {4, 5, 6}};
  std::vector<float> all(6);
  team.Run([&](int rank) {
    EXPECT_EQ(team.communicator(rank)->rank(), rank);
    EXPECT_EQ(team.communicator(rank)->ranks(), 2);
    team.communicator(rank)->AllGather(parts[rank].data(), 3, rank == 1 ? all.data() : nullptr);
  });
  EXPECT_EQ(all, (std::vector<float>{1, 2, 3, 4, 5, 6}));
}

TEST(RankTeam, ManyExchangesOneAfterAnotherDoNotMix) {
  constexpr int kRanks = 4;
  RankTeam team(kRanks);
  std::atomic<int> wrong{0};
  team.Run([&](int rank) {
    for (int i = 0; i < 2000; ++i) {
      float value = static_cast<float>(i + rank);
      team.communicator(rank)->AllReduce(&value, 1);
      if (value != static_cast<float>(kRanks * i + 6)) ++wrong;
    }
  });
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace embedded::cpu
