#include "native/embedded/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <set>
#include <vector>

namespace embedded {
namespace {

constexpr int kManyBlocks = 1000;

Sequence Prompt(int tokens) {
  Sequence sequence;
  sequence.tokens.assign(static_cast<size_t>(tokens), 1);
  return sequence;
}

Scheduler SchedulerOf(SchedulerLimits limits, int kv_blocks, const std::vector<Sequence*>& sequences) {
  Scheduler scheduler(limits, kv_blocks);
  for (Sequence* sequence : sequences) scheduler.Add(sequence);
  return scheduler;
}

// What the model would do: each sequence whose tokens are all computed gets another.
void Compute(const Step& step) {
  for (const StepEntry& entry : step.entries) {
    const bool completes = entry.completes();
    entry.sequence->computed_tokens += static_cast<size_t>(entry.tokens);
    if (completes) entry.sequence->tokens.push_back(2);
  }
}

// The step that completes the sequence, which then forks.
void ComputeAndFork(Scheduler* scheduler, const Step& step, Sequence* sequence, const std::vector<Sequence*>& forks) {
  for (const StepEntry& entry : step.entries) entry.sequence->computed_tokens += static_cast<size_t>(entry.tokens);
  scheduler->Fork(sequence, forks);
  sequence->tokens.push_back(2);
  for (Sequence* fork : forks) fork->tokens.push_back(3);
}

std::vector<std::pair<Sequence*, int>> Plan(const Step& step) {
  std::vector<std::pair<Sequence*, int>> plan;
  for (const StepEntry& entry : step.entries) plan.push_back({entry.sequence, entry.tokens});
  return plan;
}
using Entries = std::vector<std::pair<Sequence*, int>>;

TEST(Scheduler, AStepWithoutSequencesIsEmpty) {
  EXPECT_TRUE(Scheduler({16, 4}, kManyBlocks).PlanStep().entries.empty());
}

TEST(Scheduler, ALongPromptIsComputedInChunksOfTheBudget) {
  Sequence sequence = Prompt(40);
  Scheduler scheduler = SchedulerOf({16, 4}, kManyBlocks, {&sequence});
  for (const int tokens : {16, 16, 8, 1, 1}) {
    const Step step = scheduler.PlanStep();
    EXPECT_EQ(Plan(step), (Entries{{&sequence, tokens}}));
    EXPECT_EQ(step.entries[0].completes(), tokens < 16);
    Compute(step);
  }
}

TEST(Scheduler, SequencesInDecodeComeBeforeANewPrompt) {
  Sequence first = Prompt(4), second = Prompt(30);
  Scheduler scheduler = SchedulerOf({16, 4}, kManyBlocks, {&first});
  Compute(scheduler.PlanStep());
  scheduler.Add(&second);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&first, 1}, {&second, 15}}));
}

TEST(Scheduler, WhatOnePromptLeavesOfTheBudgetGoesToTheNext) {
  Sequence first = Prompt(10), second = Prompt(10);
  Scheduler scheduler = SchedulerOf({16, 4}, kManyBlocks, {&first, &second});
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&first, 10}, {&second, 6}}));
}

TEST(Scheduler, NoMoreSequencesRunThanAllowed) {
  Sequence first = Prompt(2), second = Prompt(2), third = Prompt(2);
  Scheduler scheduler = SchedulerOf({16, 2}, kManyBlocks, {&first, &second, &third});
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&first, 2}, {&second, 2}}));
  scheduler.Remove(&first);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&second, 2}, {&third, 2}}));
}

TEST(Scheduler, NoShorterPromptOvertakesOneThatWaitsForBlocks) {
  Sequence running = Prompt(2 * kTokensPerBlock), large = Prompt(3 * kTokensPerBlock), small = Prompt(1);
  Scheduler scheduler = SchedulerOf({512, 8}, 4, {&running, &large, &small});
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&running, 2 * kTokensPerBlock}}));
  EXPECT_EQ(scheduler.waiting().front(), &large);
  scheduler.Remove(&running);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&large, 3 * kTokensPerBlock}, {&small, 1}}));
}

TEST(Scheduler, PreemptsTheYoungestSequenceWhenKvBlocksRunOut) {
  Sequence oldest = Prompt(kTokensPerBlock), youngest = Prompt(kTokensPerBlock);
  Scheduler scheduler = SchedulerOf({512, 8}, 2, {&oldest, &youngest});
  Compute(scheduler.PlanStep());  // both prefill, and every block is taken
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&oldest, 1}}));
  EXPECT_TRUE(youngest.block_table.empty()) << "a preempted sequence gives its blocks back";
  EXPECT_EQ(youngest.computed_tokens, 0u);
  EXPECT_EQ(scheduler.preemptions(), 1u);
}

TEST(Scheduler, APreemptedSequenceIsComputedAgainWithWhatItHadGenerated) {
  Sequence oldest = Prompt(kTokensPerBlock), youngest = Prompt(kTokensPerBlock);
  Scheduler scheduler = SchedulerOf({512, 8}, 3, {&oldest, &youngest});
  Compute(scheduler.PlanStep());
  Compute(scheduler.PlanStep());  // the oldest takes the third block
  scheduler.Remove(&oldest);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&youngest, kTokensPerBlock + 1}}));
}

TEST(Scheduler, APreemptedSequenceComesBeforeThoseThatNeverRan) {
  Sequence oldest = Prompt(kTokensPerBlock), youngest = Prompt(kTokensPerBlock), late = Prompt(1);
  Scheduler scheduler = SchedulerOf({512, 8}, 2, {&oldest, &youngest});
  Compute(scheduler.PlanStep());
  scheduler.Add(&late);
  Compute(scheduler.PlanStep());
  ASSERT_EQ(scheduler.waiting().size(), 2u);
  EXPECT_EQ(scheduler.waiting()[0], &youngest);
  EXPECT_EQ(scheduler.waiting()[1], &late);
}

TEST(Scheduler, RemoveGivesTheBlocksBackWhereverTheSequenceIs) {
  Sequence running = Prompt(100), waiting = Prompt(100);
  Scheduler scheduler = SchedulerOf({512, 1}, kManyBlocks, {&running, &waiting});
  Compute(scheduler.PlanStep());
  EXPECT_EQ(scheduler.blocks().used_blocks(), 4);
  scheduler.Remove(&waiting);
  scheduler.Remove(&running);
  EXPECT_EQ(scheduler.blocks().used_blocks(), 0);
  EXPECT_TRUE(scheduler.PlanStep().entries.empty());
}

TEST(Scheduler, AForkSharesItsBlocksAndCopiesTheOneItWritesTo) {
  Sequence first = Prompt(3 * kTokensPerBlock + 5), second, third;
  first.forks = 2;
  Scheduler scheduler = SchedulerOf({512, 8}, kManyBlocks, {&first});
  ComputeAndFork(&scheduler, scheduler.PlanStep(), &first, {&second, &third});
  EXPECT_EQ(scheduler.blocks().used_blocks(), 4);
  EXPECT_EQ(second.block_table, first.block_table);

  const int shared = first.block_table.back();
  const Step step = scheduler.PlanStep();
  EXPECT_EQ(Plan(step), (Entries{{&first, 1}, {&second, 1}, {&third, 1}}));
  ASSERT_EQ(step.copies.size(), 2u) << "the last that holds it keeps it";
  EXPECT_EQ(step.copies[0].from, shared);
  EXPECT_EQ(step.copies[0].to, first.block_table.back());
  EXPECT_EQ(step.copies[1].from, shared);
  EXPECT_EQ(step.copies[1].to, second.block_table.back());
  EXPECT_EQ(third.block_table.back(), shared);
  EXPECT_EQ(scheduler.blocks().used_blocks(), 3 + 3);
  Compute(step);
  EXPECT_TRUE(scheduler.PlanStep().copies.empty());
}

TEST(Scheduler, EightForksOfFullBlocksTakeOneBlockEach) {
  Sequence first = Prompt(10 * kTokensPerBlock);
  std::vector<Sequence> others(7);
  std::vector<Sequence*> forks;
  for (Sequence& other : others) forks.push_back(&other);
  first.forks = forks.size();
  Scheduler scheduler = SchedulerOf({512, 8}, kManyBlocks, {&first});
  ComputeAndFork(&scheduler, scheduler.PlanStep(), &first, forks);
  const Step step = scheduler.PlanStep();
  EXPECT_EQ(step.entries.size(), 8u);
  EXPECT_TRUE(step.copies.empty());
  EXPECT_EQ(scheduler.blocks().used_blocks(), 10 + 8);
  scheduler.Remove(&first);
  EXPECT_EQ(scheduler.blocks().used_blocks(), 10 + 7);
  for (Sequence* fork : forks) scheduler.Remove(fork);
  EXPECT_EQ(scheduler.blocks().used_blocks(), 0);
}

TEST(Scheduler, SlotsAreKeptForForksToCome) {
  Sequence single = Prompt(2), several = Prompt(20), late = Prompt(2);
  several.forks = 2;
  Scheduler scheduler = SchedulerOf({16, 4}, kManyBlocks, {&single, &several, &late});
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&single, 2}, {&several, 14}})) << "no slot is left for the last";
  scheduler.Remove(&single);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&several, 16}}) /* the whole budget */);
  scheduler.Remove(&several);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&late, 2}}));
}

TEST(Scheduler, ASequenceWithForksWaitsUntilAllTheirSlotsAreFree) {
  Sequence first = Prompt(2), second = Prompt(2), several = Prompt(2);
  several.forks = 2;
  Scheduler scheduler = SchedulerOf({16, 4}, kManyBlocks, {&first, &second, &several});
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&first, 2}, {&second, 2}}));
  scheduler.Remove(&first);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&second, 2}, {&several, 2}}));
}

TEST(Scheduler, ForksComeBeforeAYoungerPrompt) {
  Sequence first = Prompt(2), fork, younger = Prompt(40);
  first.forks = 1;
  Scheduler scheduler = SchedulerOf({16, 4}, kManyBlocks, {&first, &younger});
  ComputeAndFork(&scheduler, scheduler.PlanStep(), &first, {&fork});
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&first, 1}, {&fork, 1}, {&younger, 14}}));
}

TEST(Scheduler, WithoutABlockForACopyTheYoungestForkIsPreemptedAndTheLastHolderWritesInPlace) {
  Sequence first = Prompt(kTokensPerBlock + 5), second;
  first.forks = 1;
  Scheduler scheduler = SchedulerOf({512, 8}, 2, {&first});
  ComputeAndFork(&scheduler, scheduler.PlanStep(), &first, {&second});
  const std::vector<int> blocks = first.block_table;
  const Step step = scheduler.PlanStep();
  EXPECT_EQ(Plan(step), (Entries{{&first, 1}}));
  EXPECT_TRUE(step.copies.empty());
  EXPECT_EQ(first.block_table, blocks);
  EXPECT_TRUE(second.block_table.empty());
  scheduler.Remove(&first);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&second, kTokensPerBlock + 6}})) << "alone, from its own tokens";
}

// Every plan keeps what the header promises, and the blocks hold what was written to them, for sequences that come,
// fork and go at random over a cache that is too small.
class RandomLoad {
 public:
  explicit RandomLoad(uint32_t seed)
      : random_(seed),
        limits_{static_cast<int>(6 + random_() % 60), static_cast<int>(1 + random_() % 6)},
        blocks_(static_cast<int>(4 + random_() % 8)),
        scheduler_(limits_, blocks_),
        cache_(static_cast<size_t>(blocks_) * kTokensPerBlock, -1) {}

  void Run() {
    for (int request = 0; request < 12; ++request) Add(request);
    for (int steps = 0; !alive_.empty(); ++steps) {
      ASSERT_LT(steps, 10000) << "no progress";
      const Step step = scheduler_.PlanStep();
      ASSERT_NO_FATAL_FAILURE(CheckPlan(step));
      ASSERT_NO_FATAL_FAILURE(Execute(step));
      RemoveSome();
    }
    EXPECT_EQ(scheduler_.blocks().used_blocks(), 0);
  }
  uint64_t preemptions() const { return scheduler_.preemptions(); }
  int copies() const { return copies_; }

 private:
  struct Member : Sequence {
    int request;
    size_t end;  // tokens
  };

  Member* New(int request) {
    alive_.push_back(std::make_unique<Member>());
    alive_.back()->request = request;
    return alive_.back().get();
  }

  void Add(int request) {
    Member* const member = New(request);
    for (size_t count = 1 + random_() % 60; count > 0; --count) member->tokens.push_back(next_token_++);
    member->end = member->tokens.size() + 1 + random_() % 60;
    member->forks = random_() % static_cast<uint32_t>(limits_.max_sequences);
    scheduler_.Add(member);
  }

  void CheckPlan(const Step& step) {
    ASSERT_FALSE(step.entries.empty());
    int tokens = 0;
    for (const StepEntry& entry : step.entries) {
      ASSERT_GT(entry.tokens, 0);
      tokens += entry.tokens;
      ASSERT_GE(entry.sequence->block_table.size() * kTokensPerBlock, entry.sequence->computed_tokens + entry.tokens);
    }
    ASSERT_LE(tokens, limits_.max_step_tokens);
    size_t slots = 0;
    std::set<int> held, requests;
    int previous = -1;
    for (const Sequence* sequence : scheduler_.running()) {
      slots += 1 + sequence->forks;
      held.insert(sequence->block_table.begin(), sequence->block_table.end());
      const int request = static_cast<const Member*>(sequence)->request;
      if (request != previous) {
        ASSERT_TRUE(requests.insert(request).second) << "sequences of one fork are apart";
      }
      previous = request;
    }
    ASSERT_LE(slots, static_cast<size_t>(limits_.max_sequences));
    ASSERT_EQ(scheduler_.blocks().used_blocks(), static_cast<int>(held.size()));
    ASSERT_LE(scheduler_.blocks().used_blocks(), blocks_);
  }

  // What the model would do, with a token for its keys and values.
  void Execute(const Step& step) {
    for (const BlockCopy& copy : step.copies) {
      std::copy_n(cache_.begin() + copy.from * kTokensPerBlock, kTokensPerBlock,
                  cache_.begin() + copy.to * kTokensPerBlock);
      ++copies_;
    }
    const auto place = [&](const Sequence& sequence, size_t token) -> int32_t& {
      return cache_[static_cast<size_t>(sequence.block_table[token / kTokensPerBlock]) * kTokensPerBlock +
                    token % kTokensPerBlock];
    };
    for (const auto& [sequence, tokens] : step.entries)
      for (size_t t = sequence->computed_tokens; t < sequence->computed_tokens + tokens; ++t)
        place(*sequence, t) = sequence->tokens[t];
    for (const auto& [sequence, tokens] : step.entries)
      for (size_t t = 0; t < sequence->computed_tokens + tokens; ++t)
        ASSERT_EQ(place(*sequence, t), sequence->tokens[t]) << "another sequence wrote over it";
    for (const StepEntry& entry : step.entries) {
      auto* member = static_cast<Member*>(entry.sequence);
      const bool completes = entry.completes();
      member->computed_tokens += static_cast<size_t>(entry.tokens);
      if (!completes) continue;
      std::vector<Sequence*> forks;
      for (size_t i = 0; i < member->forks; ++i) {
        Member* const fork = New(member->request);
        fork->end = member->tokens.size() + 1 + random_() % 60;
        forks.push_back(fork);
      }
      if (!forks.empty()) scheduler_.Fork(member, forks);
      member->tokens.push_back(next_token_++);
      for (Sequence* fork : forks) fork->tokens.push_back(next_token_++);
    }
  }

  void RemoveSome() {
    for (size_t i = 0; i < alive_.size();) {
      if (alive_[i]->tokens.size() < alive_[i]->end && random_() % 200 != 0) {
        ++i;
        continue;
      }
      scheduler_.Remove(alive_[i].get());
      alive_.erase(alive_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  std::mt19937 random_;
  SchedulerLimits limits_;
  int blocks_;
  Scheduler scheduler_;
  std::vector<int32_t> cache_;  // [blocks, tokens_per_block]
  std::vector<std::unique_ptr<Member>> alive_;
  int32_t next_token_ = 0;
  int copies_ = 0;
};

TEST(Scheduler, RandomLoadNeverBreaksAnInvariantAndAlwaysEnds) {
  uint64_t preemptions = 0;
  int copies = 0;
  for (uint32_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    RandomLoad load(seed);
    ASSERT_NO_FATAL_FAILURE(load.Run());
    preemptions += load.preemptions();
    copies += load.copies();
  }
  EXPECT_GT(preemptions, 100u);
  EXPECT_GT(copies, 100);
}

}  // namespace
}  // namespace embedded
