#include "native/embedded/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <limits>
#include <memory>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "scheduler_steps.h"

namespace embedded {
namespace {

TEST(Scheduler, AStepWithoutSequencesIsEmpty) {
  EXPECT_TRUE(SchedulerOf({16, 4}, kManyBlocks, {}).PlanStep().entries.empty());
}

TEST(Scheduler, ALongPromptIsComputedInChunksOfTheBudget) {
  Sequence sequence = Prompt(40);
  Scheduler scheduler = SchedulerOf({16, 4}, kManyBlocks, {&sequence});
  for (const int tokens : {16, 16, 8, 1, 1}) {
    const Step step = scheduler.PlanStep();
    EXPECT_EQ(Plan(step), (Entries{{&sequence, tokens}}));
    EXPECT_EQ(step.entries[0].draws, tokens < 16 ? 1 : 0);
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
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&second, 1}, {&third, 2}}));
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
  EXPECT_EQ(scheduler.waiting().front(), &youngest);
  EXPECT_EQ(scheduler.waiting().back(), &late);
}

TEST(Scheduler, OfThoseThatWaitTheHighestPriorityRunsFirst) {
  Sequence running = Prompt(2), low = Prompt(2), first = Prompt(2), second = Prompt(2), high = Prompt(2);
  low.priority = 0.1f;
  high.priority = 0.9f;
  Scheduler scheduler = SchedulerOf({16, 1}, kManyBlocks, {&running});
  Compute(scheduler.PlanStep());
  for (Sequence* sequence : {&low, &first, &second, &high}) scheduler.Add(sequence);
  EXPECT_EQ(scheduler.waiting(), (std::vector<Sequence*>{&high, &first, &second, &low}));
  for (Sequence* next : {&high, &first, &second, &low}) {
    scheduler.Remove(scheduler.running().front());
    EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{next, 2}}));
  }
}

TEST(Scheduler, PreemptsTheLowestPriorityBeforeTheYoungest) {
  Sequence oldest = Prompt(kTokensPerBlock), low = Prompt(kTokensPerBlock), youngest = Prompt(kTokensPerBlock);
  low.priority = 0.1f;
  Scheduler scheduler = SchedulerOf({512, 8}, 4, {&oldest, &low, &youngest});
  Compute(scheduler.PlanStep());
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&oldest, 1}, {&youngest, 1}}));
  EXPECT_EQ(scheduler.waiting(), (std::vector<Sequence*>{&low}));
}

TEST(Scheduler, AnOlderSequenceOfALowerPriorityGivesItsOwnBlocksBack) {
  Sequence low = Prompt(kTokensPerBlock), high = Prompt(kTokensPerBlock);
  low.priority = 0.1f;
  Scheduler scheduler = SchedulerOf({512, 8}, 2, {&low, &high});
  Compute(scheduler.PlanStep());  // every block is taken
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&high, 1}}));
  EXPECT_EQ(scheduler.waiting(), (std::vector<Sequence*>{&low}));
}

TEST(Scheduler, ThoseThatWaitKeepTheirOrderWhenOthersAreRemoved) {
  Sequence running = Prompt(2), first = Prompt(2), second = Prompt(2), third = Prompt(2);
  Scheduler scheduler = SchedulerOf({16, 1}, kManyBlocks, {&running, &first, &second, &third});
  Compute(scheduler.PlanStep());
  scheduler.Remove(&second);
  scheduler.Remove(&running);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&first, 2}}));
  scheduler.Remove(&first);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&third, 2}}));
  EXPECT_TRUE(scheduler.waiting().empty());
}

// If each removal went through those that wait, this would take 10^12 steps: hours.
TEST(Scheduler, AMillionSequencesThatWaitAreRemovedOneByOne) {
  std::deque<Sequence> sequences(1'000'000);
  Scheduler scheduler = SchedulerOf({16, 1}, 1, {});
  for (Sequence& sequence : sequences) scheduler.Add(&sequence);
  for (size_t i = 1; i < sequences.size(); i += 2) scheduler.Remove(&sequences[i]);  // from the middle too
  for (size_t i = sequences.size(); i > 0; i -= 2) scheduler.Remove(&sequences[i - 2]);
  EXPECT_TRUE(scheduler.waiting().empty());
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
  first.forks = {&second, &third};
  Scheduler scheduler = SchedulerOf({512, 8}, kManyBlocks, {&first});
  ComputeAndFork(scheduler.PlanStep(), {&second, &third});
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
  first.forks = forks;
  Scheduler scheduler = SchedulerOf({512, 8}, kManyBlocks, {&first});
  ComputeAndFork(scheduler.PlanStep(), forks);
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
  Sequence single = Prompt(2), several = Prompt(20), late = Prompt(2), forks[2];
  several.forks = {&forks[0], &forks[1]};
  Scheduler scheduler = SchedulerOf({16, 4}, kManyBlocks, {&single, &several, &late});
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&single, 2}, {&several, 14}})) << "no slot is left for the last";
  scheduler.Remove(&single);
  several.tokens.resize(40);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&several, 16}})) << "the whole budget";
  scheduler.Remove(&several);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&late, 2}}));
}

TEST(Scheduler, ASequenceWithForksWaitsUntilAllTheirSlotsAreFree) {
  Sequence first = Prompt(2), second = Prompt(2), several = Prompt(2), forks[2];
  several.forks = {&forks[0], &forks[1]};
  Scheduler scheduler = SchedulerOf({16, 4}, kManyBlocks, {&first, &second, &several});
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&first, 2}, {&second, 2}}));
  scheduler.Remove(&first);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&second, 1}, {&several, 2}}));
}

TEST(Scheduler, ForksComeBeforeAYoungerPrompt) {
  Sequence first = Prompt(2), fork, younger = Prompt(40);
  first.forks = {&fork};
  Scheduler scheduler = SchedulerOf({16, 4}, kManyBlocks, {&first, &younger});
  ComputeAndFork(scheduler.PlanStep(), {&fork});
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&first, 1}, {&fork, 1}, {&younger, 14}}));
}

TEST(Scheduler, WithoutABlockForACopyTheYoungestForkIsPreemptedAndTheLastHolderWritesInPlace) {
  Sequence first = Prompt(kTokensPerBlock + 5), second;
  first.forks = {&second};
  Scheduler scheduler = SchedulerOf({512, 8}, 2, {&first});
  ComputeAndFork(scheduler.PlanStep(), {&second});
  const std::vector<int> blocks = first.block_table;
  const Step step = scheduler.PlanStep();
  EXPECT_EQ(Plan(step), (Entries{{&first, 1}}));
  EXPECT_TRUE(step.copies.empty());
  EXPECT_EQ(first.block_table, blocks);
  EXPECT_TRUE(second.block_table.empty());
  scheduler.Remove(&first);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&second, kTokensPerBlock + 6}})) << "alone, from its own tokens";
}

TEST(Scheduler, PlansAheadOfTokensThatAreNotKnownYet) {
  Sequence sequence = Prompt(3);
  Scheduler scheduler = SchedulerOf({16, 4}, kManyBlocks, {&sequence});
  for (const size_t first : {0, 3, 4}) {
    const Step step = scheduler.PlanStep();
    ASSERT_EQ(step.entries.size(), 1u);
    EXPECT_EQ(step.entries[0].first, first);
    EXPECT_EQ(step.entries[0].draws, 1);
  }
  EXPECT_EQ(sequence.tokens.size(), 3u);
  EXPECT_EQ(sequence.pending_tokens, 3u);
}

TEST(Scheduler, WaitsForAPendingTokenThatItsNextDrawDependsOn) {
  Sequence waits = Prompt(3), goes_on = Prompt(3);
  waits.planned_ahead = false;
  Scheduler scheduler = SchedulerOf({16, 4}, kManyBlocks, {&waits, &goes_on});
  const Step first = scheduler.PlanStep();
  EXPECT_EQ(Plan(first), (Entries{{&waits, 3}, {&goes_on, 3}}));
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&goes_on, 1}}));
  Compute(first);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&waits, 1}, {&goes_on, 1}}));
}

TEST(Scheduler, ComputesNothingPastTheTokenThatReachesTheGreatestLength) {
  Sequence sequence = Prompt(3);
  sequence.max_length = 5;
  Scheduler scheduler = SchedulerOf({16, 4}, kManyBlocks, {&sequence});
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&sequence, 3}}));
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&sequence, 1}}));
  EXPECT_TRUE(scheduler.PlanStep().entries.empty()) << "the fifth token ends it";
}

TEST(Scheduler, APreemptedSequenceWaitsForItsPendingTokens) {
  Sequence oldest = Prompt(kTokensPerBlock), youngest = Prompt(kTokensPerBlock);
  Scheduler scheduler = SchedulerOf({512, 8}, 2, {&oldest, &youngest});
  const Step first = scheduler.PlanStep();
  const Step second = scheduler.PlanStep();  // the oldest takes the block of the youngest
  EXPECT_EQ(Plan(second), (Entries{{&oldest, 1}}));
  scheduler.Remove(&oldest);
  EXPECT_TRUE(scheduler.PlanStep().entries.empty());
  Compute(first);
  EXPECT_EQ(Plan(scheduler.PlanStep()), (Entries{{&youngest, kTokensPerBlock + 1}}));
}

TEST(Scheduler, EachSequenceThatRunsHasASlotOfItsOwn) {
  Sequence first = Prompt(2), second = Prompt(2), fork, late = Prompt(2);
  second.forks = {&fork};
  Scheduler scheduler = SchedulerOf({16, 3}, kManyBlocks, {&first, &second, &late});
  ComputeAndFork(scheduler.PlanStep(), {&fork});
  EXPECT_EQ((std::set<int>{first.slot, second.slot, fork.slot}), (std::set<int>{0, 1, 2}));
  EXPECT_EQ(late.slot, kNoSlot);
  const int given_back = second.slot;
  scheduler.Remove(&second);
  EXPECT_EQ(second.slot, kNoSlot);
  scheduler.PlanStep();
  EXPECT_EQ(late.slot, given_back);
}

// Every plan keeps what the header promises, and the blocks hold what was written to them, for sequences that come,
// fork and go at random over a cache that is too small, while tokens become known some steps after they were planned.
enum class Keeping { kNothing, kBlocks, kParts, kPartsTakenOver, kPartsAndHostBlocks };

class RandomLoad {
 public:
  RandomLoad(uint32_t seed, size_t steps_in_flight, Keeping keeping)
      : random_(seed),
        steps_in_flight_(steps_in_flight),
        limits_{static_cast<int>(6 + random_() % 60), static_cast<int>(1 + random_() % 6),
                keeping != Keeping::kNothing},
        pool_{keeping >= Keeping::kParts, keeping != Keeping::kPartsTakenOver,
              keeping == Keeping::kPartsAndHostBlocks ? static_cast<int>(1 + random_() % 6) : 0},
        blocks_(static_cast<int>(5 + random_() % 8)),
        scheduler_(limits_, BlockPool(blocks_, kTokensPerBlock, pool_)),
        cache_(static_cast<size_t>(blocks_) * kTokensPerBlock, kNothing),
        host_cache_(static_cast<size_t>(pool_.host_blocks) * kTokensPerBlock, kNothing) {}

  void Run() {
    for (int request = 0; request < 12; ++request) Add(request);
    for (int steps = 0; !alive_.empty(); ++steps) {
      ASSERT_LT(steps, 10000) << "no progress";
      if (in_flight_.size() < steps_in_flight_) {
        const Step step = scheduler_.PlanStep();
        ASSERT_NO_FATAL_FAILURE(CheckPlan(step));
        if (!step.entries.empty()) {
          ASSERT_NO_FATAL_FAILURE(Execute(step));
          if (in_flight_.size() < steps_in_flight_) continue;
        }
      }
      Collect();
      RemoveSome();
    }
    EXPECT_EQ(scheduler_.blocks().used_blocks(), 0);
  }
  uint64_t preemptions() const { return scheduler_.preemptions(); }
  uint64_t reused_blocks() const { return scheduler_.reused_blocks(); }
  int copies(CopyWay way) const { return copies_[static_cast<size_t>(way)]; }
  // Tokens of blocks that only began alike.
  size_t reused_parts() const { return reused_parts_; }

 private:
  static constexpr int32_t kNothing = std::numeric_limits<int32_t>::min();
  struct Member : Sequence {
    int request;
    std::vector<int32_t> truth;  // its tokens, pending ones too
    std::vector<std::shared_ptr<Member>> fork_members;
    bool removed = false;
  };
  struct Drawn {
    std::shared_ptr<Member> member;
    int32_t token;
  };

  std::shared_ptr<Member> New(int request) {
    auto member = std::make_shared<Member>();
    member->request = request;
    return member;
  }

  void Add(int request) {
    const std::shared_ptr<Member> member = New(request);
    // Half of the prompts begin alike, some way.
    const size_t prompt = 1 + random_() % 90, alike = random_() % 2 * (random_() % 90);
    for (size_t i = 0; i < prompt; ++i) member->tokens.push_back(i < alike ? -static_cast<int32_t>(i) : next_token_++);
    member->truth = member->tokens;
    member->planned_ahead = random_() % 3 != 0;
    member->priority = static_cast<float>(random_() % 3) / 2;
    member->max_length = member->tokens.size() + 1 + random_() % 60;
    for (uint32_t count = random_() % static_cast<uint32_t>(limits_.max_sequences); count > 0; --count) {
      const std::shared_ptr<Member> fork = New(request);
      fork->planned_ahead = member->planned_ahead;
      fork->priority = member->priority;
      fork->max_length = member->tokens.size() + 1 + random_() % 60;
      member->fork_members.push_back(fork);
      member->forks.push_back(fork.get());
    }
    alive_.push_back(member);
    scheduler_.Add(member.get());
  }

  void CheckPlan(const Step& step) {
    ASSERT_TRUE(!step.entries.empty() || !in_flight_.empty());
    int tokens = 0;
    for (const StepEntry& entry : step.entries) {
      ASSERT_GT(entry.tokens, 0);
      tokens += entry.tokens;
      const size_t end = entry.first + static_cast<size_t>(entry.tokens);
      ASSERT_GE(entry.sequence->block_table.size() * kTokensPerBlock, end);
      ASSERT_LT(end, entry.sequence->max_length);
      if (!entry.sequence->planned_ahead) {
        ASSERT_LE(end, entry.sequence->tokens.size());
      }
    }
    ASSERT_LE(tokens, limits_.max_step_tokens);
    size_t taken = 0;
    std::set<int> held, requests, slots;
    int previous = -1;
    for (const Sequence* sequence : scheduler_.running()) {
      taken += 1 + sequence->forks.size();
      ASSERT_TRUE(sequence->slot >= 0 && sequence->slot < limits_.max_sequences);
      ASSERT_TRUE(slots.insert(sequence->slot).second) << "two have one slot";
      held.insert(sequence->block_table.begin(), sequence->block_table.end());
      const int request = static_cast<const Member*>(sequence)->request;
      if (request != previous) {
        ASSERT_TRUE(requests.insert(request).second) << "sequences of one fork are apart";
      }
      previous = request;
    }
    ASSERT_LE(taken, static_cast<size_t>(limits_.max_sequences));
    ASSERT_EQ(scheduler_.blocks().used_blocks(), static_cast<int>(held.size()));
    ASSERT_LE(scheduler_.blocks().used_blocks(), blocks_);
  }

  // What the model would do, with a token for its keys and values.
  void Execute(const Step& step) {
    for (const BlockCopy& copy : step.copies) {
      const std::vector<int32_t>& from = copy.way == CopyWay::kFromHost ? host_cache_ : cache_;
      std::vector<int32_t>& to = copy.way == CopyWay::kToHost ? host_cache_ : cache_;
      ASSERT_LE((static_cast<size_t>(copy.from) + 1) * kTokensPerBlock, from.size());
      ASSERT_LE((static_cast<size_t>(copy.to) + 1) * kTokensPerBlock, to.size());
      std::copy_n(from.begin() + copy.from * kTokensPerBlock, kTokensPerBlock, to.begin() + copy.to * kTokensPerBlock);
      ++copies_[static_cast<size_t>(copy.way)];
    }
    const auto place = [&](const Sequence& sequence, size_t token) -> int32_t& {
      return cache_[static_cast<size_t>(sequence.block_table[token / kTokensPerBlock]) * kTokensPerBlock +
                    token % kTokensPerBlock];
    };
    const auto truth = [](const Sequence& sequence) { return static_cast<const Member&>(sequence).truth; };
    for (const StepEntry& entry : step.entries)
      for (size_t t = 0; t < entry.first; ++t)
        ASSERT_EQ(place(*entry.sequence, t), truth(*entry.sequence)[t]) << "earlier steps did not write it";
    for (const StepEntry& entry : step.entries)
      for (size_t t = entry.first; t < entry.first + entry.tokens; ++t)
        place(*entry.sequence, t) = truth(*entry.sequence)[t];
    for (const StepEntry& entry : step.entries)
      for (size_t t = 0; t < entry.first + entry.tokens; ++t)
        ASSERT_EQ(place(*entry.sequence, t), truth(*entry.sequence)[t]) << "another sequence wrote over it";
    std::vector<Drawn> drawn;
    for (const StepEntry& entry : step.entries) {
      if (entry.draws == 0) continue;
      const auto found = std::find_if(alive_.begin(), alive_.end(),
                                      [&](const auto& member) { return member.get() == entry.sequence; });
      ASSERT_NE(found, alive_.end());
      const std::shared_ptr<Member> member = *found;
      const std::vector<std::shared_ptr<Member>> forks = std::exchange(member->fork_members, {});
      ASSERT_EQ(entry.draws, 1 + static_cast<int>(forks.size()));
      for (const auto& fork : forks) {
        fork->truth = member->truth;
        alive_.push_back(fork);
        drawn.push_back({fork, next_token_++});
      }
      drawn.push_back({member, next_token_++});
    }
    for (const auto& [member, token] : drawn) member->truth.push_back(token);
    in_flight_.push_back(std::move(drawn));
  }

  void Collect() {
    for (const auto& [member, token] : in_flight_.front())
      if (!member->removed) member->AddToken(token);
    in_flight_.pop_front();
  }

  void RemoveSome() {
    for (size_t i = 0; i < alive_.size();) {
      if (alive_[i]->tokens.size() < alive_[i]->max_length && random_() % 200 != 0) {
        ++i;
        continue;
      }
      alive_[i]->removed = true;
      reused_parts_ += alive_[i]->reused_tokens % kTokensPerBlock;
      scheduler_.Remove(alive_[i].get());
      alive_.erase(alive_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  std::mt19937 random_;
  size_t steps_in_flight_;
  SchedulerLimits limits_;
  BlockPoolOptions pool_;
  int blocks_;
  Scheduler scheduler_;
  std::vector<int32_t> cache_;       // [blocks, tokens_per_block]
  std::vector<int32_t> host_cache_;  // likewise
  std::vector<std::shared_ptr<Member>> alive_;
  std::deque<std::vector<Drawn>> in_flight_;
  int32_t next_token_ = 0;
  std::array<int, 3> copies_{};  // by their way
  size_t reused_parts_ = 0;
};

TEST(Scheduler, RandomLoadNeverBreaksAnInvariantAndAlwaysEnds) {
  for (const Keeping keeping :
       {Keeping::kNothing, Keeping::kBlocks, Keeping::kParts, Keeping::kPartsTakenOver, Keeping::kPartsAndHostBlocks})
    for (const size_t steps_in_flight : {1, 2, 3}) {
      uint64_t preemptions = 0, reused_blocks = 0;
      size_t reused_parts = 0;
      std::array<int, 3> copies{};
      for (uint32_t seed = 0; seed < 80; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed << ", steps in flight " << steps_in_flight << ", keeping "
                                        << static_cast<int>(keeping));
        RandomLoad load(seed, steps_in_flight, keeping);
        ASSERT_NO_FATAL_FAILURE(load.Run());
        preemptions += load.preemptions();
        reused_blocks += load.reused_blocks();
        reused_parts += load.reused_parts();
        for (const CopyWay way : {CopyWay::kOnDevice, CopyWay::kToHost, CopyWay::kFromHost})
          copies[static_cast<size_t>(way)] += load.copies(way);
      }
      EXPECT_GT(preemptions, 40u);
      EXPECT_GT(copies[0], 40);
      EXPECT_EQ(copies[1] > 40, keeping == Keeping::kPartsAndHostBlocks);
      EXPECT_EQ(copies[2] > 40, keeping == Keeping::kPartsAndHostBlocks);
      EXPECT_EQ(reused_blocks > 20, keeping != Keeping::kNothing);
      EXPECT_EQ(reused_parts > 40, keeping >= Keeping::kParts);
    }
}

}  // namespace
}  // namespace embedded
