#include "native/embedded/kv_events.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <random>
#include <sstream>
#include <string>
#include <utility>

#include "native/embedded/scheduler.h"
#include "scheduler_steps.h"

namespace embedded {
namespace {

BlockKey Key(uint64_t number) { return {number, 0}; }

// The block of that number, which follows the one of `before`; 0: it starts a prompt.
BlockContent Block(uint64_t number, uint64_t before, std::vector<int32_t> tokens = {}) {
  return {Key(number), Key(before), std::move(tokens), before == 0, {}};
}

// As short lines, a block as its hash.
std::vector<std::string> Lines(const ExecutorKvEvents* events) {
  std::vector<std::string> lines;
  for (uint32_t i = 0; i < events->event_count; ++i) {
    const ExecutorKvEvent& event = events->events[i];
    std::ostringstream line;
    switch (event.type) {
      case KV_EVENT_CREATED:
        line << "created " << event.level_blocks[0] << "+" << event.level_blocks[1];
        break;
      case KV_EVENT_STORED:
        line << "stored";
        for (uint32_t block = 0; block < event.block_count; ++block) line << " " << event.blocks[block].hash;
        if (event.set & KV_EVENT_PARENT_HASH) line << " after " << event.parent_hash;
        break;
      case KV_EVENT_REMOVED:
        line << "removed";
        for (uint32_t hash = 0; hash < event.hash_count; ++hash) line << " " << event.hashes[hash];
        break;
      case KV_EVENT_UPDATED:
        line << "updated " << event.hash;
        if (event.set & KV_EVENT_CACHE_LEVEL)
          line << " level " << event.old_cache_level << " to " << event.new_cache_level;
        if (event.set & KV_EVENT_PRIORITY) line << " priority " << event.old_priority << " to " << event.new_priority;
        break;
    }
    lines.push_back(line.str());
  }
  return lines;
}
using List = std::vector<std::string>;

TEST(KvEvents, TellsOfANewCacheFirst) {
  KvEvents events(8, 4, 2);
  EXPECT_EQ(Lines(events.Take()), List{"created 4+2"});
  EXPECT_EQ(Lines(events.Take()), List{});
}

TEST(KvEvents, JoinsBlocksOfOneChainAndRemovalsThatFollowEachOther) {
  KvEvents events(8, 4, 0);
  events.Take();
  events.Store(Block(1, 0, {10, 11}), 35);
  events.Store(Block(2, 1, {12}), 50);
  events.Store(Block(3, 1), 35);
  events.Store(Block(4, 0), 35);
  events.Remove(Key(2));
  events.Remove(Key(1));
  const ExecutorKvEvents* taken = events.Take();
  EXPECT_EQ(Lines(taken), (List{"stored 1 2", "stored 3 after 1", "stored 4", "removed 2 1"}));
  const ExecutorKvBlock* blocks = taken->events[0].blocks;
  EXPECT_EQ(std::vector<int32_t>(blocks[0].tokens, blocks[0].tokens + blocks[0].token_count),
            (std::vector<int32_t>{10, 11}));
  EXPECT_EQ(std::vector<int32_t>(blocks[1].tokens, blocks[1].tokens + blocks[1].token_count), std::vector<int32_t>{12});
  EXPECT_EQ(blocks[0].priority, 35u);
  EXPECT_EQ(blocks[1].priority, 50u);
  EXPECT_EQ(blocks[0].set, 0u);
}

TEST(KvEvents, DoesNotJoinABlockToWhatWasTaken) {
  KvEvents events(8, 4, 0);
  events.Store(Block(1, 0), 35);
  events.Take();
  events.Store(Block(2, 1), 35);
  EXPECT_EQ(Lines(events.Take()), List{"stored 2 after 1"});
}

TEST(KvEvents, DropsTheOldestSoThatTheirIdsAreMissing) {
  KvEvents events(2, 4, 0);
  events.Store(Block(1, 0), 35);
  events.Store(Block(2, 0), 35);
  events.Move(Key(1), CACHE_LEVEL_DEVICE, CACHE_LEVEL_HOST);
  const ExecutorKvEvents* taken = events.Take();
  ASSERT_EQ(Lines(taken), (List{"stored 2", "updated 1 level 0 to 1"}));
  EXPECT_EQ(taken->events[0].id, 2u);
  EXPECT_EQ(taken->events[1].id, 3u);
}

TEST(KvEvents, NamesTheAdapterOfABlock) {
  KvEvents events(8, 4, 0);
  events.Take();
  BlockContent content = Block(1, 0);
  content.lora_id = 7;
  events.Store(content, 35);
  const ExecutorKvBlock& block = events.Take()->events[0].blocks[0];
  EXPECT_EQ(block.set, KV_BLOCK_LORA_ID);
  EXPECT_EQ(block.lora_id, 7u);
}

// Events of a scheduler, with each block's hash replaced by a letter in the order in which blocks were first stored.
class KvEventsOf : public testing::Test {
 protected:
  Scheduler Make(int kv_blocks, int host_blocks, bool reuses_parts = false, bool copies_parts = true) {
    events_.emplace(100, kv_blocks, host_blocks);
    events_->Take();
    BlockPoolOptions pool{reuses_parts, copies_parts, host_blocks};
    pool.events = &*events_;
    return SchedulerOf({512, 8, true}, kv_blocks, {}, pool);
  }
  static Sequence PromptOf(int first, int tokens) {
    Sequence sequence;
    sequence.tokens.resize(static_cast<size_t>(tokens));
    std::iota(sequence.tokens.begin(), sequence.tokens.end(), first);
    return sequence;
  }
  // Runs a prompt to its first token and ends it. Gives the events.
  List Run(Scheduler* scheduler, Sequence sequence) {
    scheduler->Add(&sequence);
    Compute(scheduler->PlanStep());
    scheduler->Remove(&sequence);
    return Read();
  }
  List Read() {
    const ExecutorKvEvents* const taken = events_->Take();
    for (uint32_t i = 0; i < taken->event_count; ++i)
      for (uint32_t block = 0; block < taken->events[i].block_count; ++block)
        letters_.emplace(std::to_string(taken->events[i].blocks[block].hash), std::string(1, 'a' + letters_.size()));
    List lines = Lines(taken);
    for (std::string& line : lines)
      for (const auto& [hash, letter] : letters_)
        if (const size_t at = line.find(hash); at != std::string::npos) line.replace(at, hash.size(), letter);
    return lines;
  }

  std::optional<KvEvents> events_;
  std::map<std::string, std::string> letters_;
};

TEST_F(KvEventsOf, ABlockIsStoredOnceAndRemovedWhenItIsEvicted) {
  Scheduler scheduler = Make(3, 0);
  EXPECT_EQ(Run(&scheduler, PromptOf(100, 2 * kTokensPerBlock)), List{"stored a b"});
  EXPECT_EQ(Run(&scheduler, PromptOf(100, 2 * kTokensPerBlock + 1)), List{}) << "it is found";
  EXPECT_EQ(Run(&scheduler, PromptOf(500, 2 * kTokensPerBlock)), (List{"removed b", "stored c d"}));
}

TEST_F(KvEventsOf, WhatIsGeneratedFollowsThePrompt) {
  Scheduler scheduler = Make(4, 0);
  Sequence sequence = PromptOf(100, 2 * kTokensPerBlock - 1);
  scheduler.Add(&sequence);
  Compute(scheduler.PlanStep());
  Compute(scheduler.PlanStep());
  EXPECT_EQ(Read(), List{"stored a"});
  Compute(scheduler.PlanStep());
  EXPECT_EQ(Read(), List{"stored b after a"});
}

TEST_F(KvEventsOf, ABlockMovesToTheHostAndBack) {
  Scheduler scheduler = Make(2, 2);
  EXPECT_EQ(Run(&scheduler, PromptOf(100, kTokensPerBlock)), List{"stored a"});
  EXPECT_EQ(Run(&scheduler, PromptOf(200, 2 * kTokensPerBlock)), (List{"updated a level 0 to 1", "stored b c"}));
  EXPECT_EQ(Run(&scheduler, PromptOf(100, kTokensPerBlock + 1)),
            (List{"updated c level 0 to 1", "updated a level 1 to 0", "updated b level 0 to 1"}));
}

TEST_F(KvEventsOf, ABlockThatTheHostGivesUpIsRemoved) {
  Scheduler scheduler = Make(2, 1);
  Run(&scheduler, PromptOf(100, 2 * kTokensPerBlock));
  EXPECT_EQ(Run(&scheduler, PromptOf(500, 2 * kTokensPerBlock)),
            (List{"updated b level 0 to 1", "removed b", "updated a level 0 to 1", "stored c d"}));
}

TEST_F(KvEventsOf, ABlockThatTheHostHasAndTheDeviceComputesAgainIsOnTheDevice) {
  Scheduler scheduler = Make(2, 4);
  Run(&scheduler, PromptOf(100, kTokensPerBlock));
  Run(&scheduler, PromptOf(200, 2 * kTokensPerBlock));
  Sequence again = PromptOf(100, kTokensPerBlock);  // its last token is computed in any case
  EXPECT_EQ(Run(&scheduler, again), (List{"updated c level 0 to 1", "updated a level 1 to 0"}));
  EXPECT_EQ(Run(&scheduler, PromptOf(500, 2 * kTokensPerBlock)),
            (List{"updated b level 0 to 1", "updated a level 0 to 1", "stored d e"}));
}

TEST_F(KvEventsOf, ABlockGetsThePriorityOfWhoUsesItNext) {
  Scheduler scheduler = Make(4, 0);
  Run(&scheduler, PromptOf(100, kTokensPerBlock));
  Sequence precious = PromptOf(100, kTokensPerBlock + 1);
  precious.retention.ranges = {{0, kTokensPerBlock, {90, std::nullopt}}};
  EXPECT_EQ(Run(&scheduler, precious), List{"updated a priority 35 to 90"});
  EXPECT_EQ(Run(&scheduler, precious), List{});
}

TEST_F(KvEventsOf, ABlockThatASequenceEndedInIsStoredWithItsTokensAndRemovedWhenAnotherGoesOnInIt) {
  Scheduler scheduler = Make(4, 0, true);
  EXPECT_EQ(Run(&scheduler, PromptOf(100, 20)), List{"stored a"});
  EXPECT_EQ(Run(&scheduler, PromptOf(100, 22)), (List{"removed a", "stored b"}));
}

// What a router knows of a cache by its events.
class CacheView {
 public:
  void Add(const ExecutorKvEvents* events) {
    for (uint32_t i = 0; i < events->event_count; ++i) {
      const ExecutorKvEvent& event = events->events[i];
      uint64_t before = event.set & KV_EVENT_PARENT_HASH ? event.parent_hash : 0;
      for (uint32_t block = 0; block < event.block_count; ++block) {
        const ExecutorKvBlock& stored = event.blocks[block];
        blocks_[{before, {stored.tokens, stored.tokens + stored.token_count}}] = stored.hash;
        EXPECT_TRUE(levels_.emplace(stored.hash, stored.cache_level).second) << "what is stored was not there";
        before = stored.hash;
      }
      for (uint32_t hash = 0; hash < event.hash_count; ++hash)
        EXPECT_EQ(levels_.erase(event.hashes[hash]), 1u) << "what is removed was there";
      if (event.type != KV_EVENT_UPDATED || !(event.set & KV_EVENT_CACHE_LEVEL)) continue;
      ASSERT_EQ(levels_.count(event.hash), 1u) << "what moves was there";
      EXPECT_EQ(std::exchange(levels_[event.hash], event.new_cache_level), event.old_cache_level);
    }
  }
  // Whole blocks that a prompt finds; its last token is computed in any case.
  size_t Find(const std::vector<int32_t>& prompt) const {
    size_t found = 0;
    uint64_t before = 0;
    for (auto next = prompt.begin(); prompt.end() - next > kTokensPerBlock; next += kTokensPerBlock, ++found) {
      const auto block = blocks_.find({before, {next, next + kTokensPerBlock}});
      if (block == blocks_.end() || levels_.count(block->second) == 0) break;
      before = block->second;
    }
    return found;
  }

 private:
  std::map<std::pair<uint64_t, std::vector<int32_t>>, uint64_t> blocks_;  // by the block before and the tokens
  std::map<uint64_t, uint32_t> levels_;                                   // of those that are kept
};

TEST_F(KvEventsOf, WhoFollowsThemKnowsWhatEachPromptFinds) {
  std::mt19937 random(1);
  const auto below = [&](int end) { return static_cast<int>(random() % static_cast<unsigned>(end)); };
  size_t found = 0, moves = 0;
  for (const auto& [reuses_parts, copies_parts] : {std::pair(false, false), {true, false}, {true, true}}) {
    Scheduler scheduler = Make(9, 4, reuses_parts, copies_parts);
    CacheView view;
    for (int run = 0; run < 1000; ++run) {
      Sequence sequence;
      for (int block = 1 + below(4); block > 0; --block)
        sequence.tokens.insert(sequence.tokens.end(), kTokensPerBlock, below(3));
      sequence.tokens.resize(sequence.tokens.size() - static_cast<size_t>(below(3)));
      sequence.retention.ranges = {{0, 64, {10 + 40 * below(3), std::nullopt}}};
      const size_t expected = view.Find(sequence.tokens);
      scheduler.Add(&sequence);
      for (int steps = 1 + below(40); steps > 0; --steps) Compute(scheduler.PlanStep());
      scheduler.Remove(&sequence);
      ASSERT_EQ(sequence.reused_tokens / kTokensPerBlock, expected) << run;
      found += expected;
      const ExecutorKvEvents* const events = events_->Take();
      for (uint32_t i = 0; i < events->event_count; ++i) moves += events->events[i].type == KV_EVENT_UPDATED;
      view.Add(events);
    }
  }
  EXPECT_GT(found, 500u);
  EXPECT_GT(moves, 500u);
}

}  // namespace
}  // namespace embedded
