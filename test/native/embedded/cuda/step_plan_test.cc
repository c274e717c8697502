// How a step's rows are laid out; none of these tests needs a GPU.
#include "native/embedded/cuda/step_plan.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "native/embedded/cuda/step_sampler.h"

namespace embedded::cuda {
namespace {

// A request of one sequence, `known` tokens of which are on the host.
std::shared_ptr<Request> RequestOf(uint64_t id, size_t known, int slot, std::vector<int> blocks) {
  auto request = std::make_shared<Request>();
  request->id = id;
  request->prompt_tokens = known;
  request->sequences.resize(1);
  RequestSequence& sequence = request->sequences.front();
  sequence.request = request.get();
  sequence.index = 0;
  sequence.slot = slot;
  sequence.block_table = std::move(blocks);
  for (size_t i = 0; i < known; ++i) sequence.tokens.push_back(static_cast<int32_t>(10 * id + i));
  return request;
}

struct Filled {
  std::vector<uint8_t> memory;
  StepArrays arrays;
  std::vector<int32_t> block_table;
  int longest;

  Filled(const Step& step, const StepPlan& plan, int max_blocks)
      : memory(StepArrays(nullptr, plan.tokens, 16).bytes),
        arrays(memory.data(), plan.tokens, 16),
        block_table(static_cast<size_t>(16 * max_blocks), -7),
        longest(FillArrays(step, plan, arrays, block_table.data(), max_blocks)) {}
};

std::vector<int32_t> First(const int32_t* values, int count) { return {values, values + count}; }

TEST(DecodeBucket, HoldsTheRowsAndIsNoLargerThanTheBatch) {
  for (int rows = 1; rows <= 200; ++rows) {
    EXPECT_GE(DecodeBucket(rows, 200), rows);
    EXPECT_LE(DecodeBucket(rows, 200), 200);
    EXPECT_EQ(DecodeBucket(DecodeBucket(rows, 200), 200), DecodeBucket(rows, 200));
  }
  EXPECT_EQ(DecodeBuckets(1), std::vector<int>{1});
  EXPECT_EQ(DecodeBuckets(20), (std::vector<int>{1, 2, 4, 8, 16, 20}));
  EXPECT_EQ(DecodeBucket(1, 256), 1);
  EXPECT_EQ(DecodeBucket(3, 256), 4);
  EXPECT_EQ(DecodeBucket(9, 256), 16);
  EXPECT_EQ(DecodeBucket(64, 256), 64);
  EXPECT_EQ(DecodeBucket(5, 5), 5);
}

TEST(StepPlan, PutsRowsOfOneTokenFirstAndPadsDecode) {
  const auto a = RequestOf(1, 3, 4, {9}), b = RequestOf(2, 5, 2, {8, 7}), c = RequestOf(3, 2, 0, {6});
  Step step;
  step.entries = {{&a->sequences[0], 3, 1, 1}, {&b->sequences[0], 5, 1, 1}, {&c->sequences[0], 1, 1, 1}};
  const StepPlan plan = PlanRows(step, 16);
  EXPECT_TRUE(plan.decode_only());
  EXPECT_EQ(plan.tokens, 4);
  EXPECT_EQ(plan.logits_rows, 4);
  ASSERT_EQ(plan.draws.size(), 3u);
  EXPECT_EQ(plan.draws[1].position, 6u);
  EXPECT_EQ(plan.draws[1].slot, 2);

  const Filled filled(step, plan, 2);
  EXPECT_EQ(First(filled.arrays.tokens, 4), (std::vector<int32_t>{-1, -1, 31, -1}));
  EXPECT_EQ(First(filled.arrays.newest_slots, 4), (std::vector<int32_t>{4, 2, -1, -1}));
  EXPECT_EQ(First(filled.arrays.positions, 4), (std::vector<int32_t>{3, 5, 1, -1}));
  EXPECT_EQ(First(filled.arrays.context_lengths, 4), (std::vector<int32_t>{4, 6, 2, 0}));
  EXPECT_EQ(First(filled.arrays.logits_rows, 4), (std::vector<int32_t>{0, 1, 2, -1}));
  EXPECT_EQ(First(filled.block_table.data(), 6), (std::vector<int32_t>{9, -7, 8, 7, 6, -7}));
  EXPECT_EQ(filled.longest, 2);
}

TEST(StepPlan, GivesEachRowTheSlotOfItsAdapterAndPaddingNone) {
  const auto prompt = RequestOf(1, 3, 0, {3}), decode = RequestOf(2, 4, 1, {5});
  Step step;
  step.entries = {{&prompt->sequences[0], 0, 3, 1}, {&decode->sequences[0], 3, 1, 1}};
  const StepPlan plan = PlanRows(step, 16);
  const Filled filled(step, plan, 2);
  FillAdapterSlots(step, plan, {7, kNoAdapterSlot}, filled.arrays);
  ASSERT_EQ(plan.tokens, 8);
  EXPECT_EQ(First(filled.arrays.adapter_slots, 8), (std::vector<int32_t>{-1, 7, 7, 7, -1, -1, -1, -1}));
}

TEST(StepPlan, OfAMixedStepGivesPromptsTheRowsBehindDecode) {
  const auto prompt = RequestOf(1, 12, 0, {3}), decode = RequestOf(2, 4, 1, {5}), end = RequestOf(3, 3, 2, {6});
  Step step;
  step.entries = {{&prompt->sequences[0], 2, 6, 0}, {&decode->sequences[0], 3, 1, 1}, {&end->sequences[0], 0, 3, 1}};
  const StepPlan plan = PlanRows(step, 16);
  EXPECT_FALSE(plan.decode_only());
  EXPECT_EQ(plan.decode_rows, 1);
  EXPECT_EQ(plan.tokens, 16);
  EXPECT_EQ(plan.order, (std::vector<size_t>{1, 0, 2}));
  EXPECT_EQ(plan.first_token, (std::vector<int>{1, 0, 7}));
  EXPECT_EQ(plan.logits_rows, 2);

  const Filled filled(step, plan, 1);
  EXPECT_EQ(First(filled.arrays.positions, 11), (std::vector<int32_t>{3, 2, 3, 4, 5, 6, 7, 0, 1, 2, -1}));
  EXPECT_EQ(First(filled.arrays.table_rows, 10), (std::vector<int32_t>{0, 1, 1, 1, 1, 1, 1, 2, 2, 2}));
  EXPECT_EQ(First(filled.arrays.logits_rows, 2), (std::vector<int32_t>{0, 9}));
  EXPECT_EQ(First(filled.block_table.data(), 3), (std::vector<int32_t>{5, 3, 6}));

  const std::vector<PrefillSequence> prefill = PrefillSequencesOf(step, plan);
  ASSERT_EQ(prefill.size(), 2u);
  EXPECT_EQ(prefill[0].query_tokens, 6);
  EXPECT_EQ(prefill[0].context_tokens, 8);
  EXPECT_EQ(prefill[1].context_tokens, 3);
}

TEST(StepPlan, DrawsForForksFromOneRowAndPutsProcessedRowsLast) {
  const auto forked = RequestOf(1, 2, 0, {1}), plain = RequestOf(2, 2, 3, {2});
  forked->sequences.resize(3);
  for (uint32_t i = 0; i < 3; ++i) {
    forked->sequences[i].request = forked.get();
    forked->sequences[i].index = i;
    forked->sequences[i].slot = static_cast<int>(i);
  }
  forked->sampling.processors.min_length = 9;
  Step step;
  step.entries = {{&forked->sequences[0], 0, 2, 3}, {&plain->sequences[0], 0, 2, 1}};
  const StepPlan plan = PlanRows(step, 16);
  ASSERT_EQ(plan.draws.size(), 4u);
  EXPECT_EQ(plan.plain_draws, 1);
  EXPECT_EQ(plan.draws[0].slot, 3);
  EXPECT_EQ(plan.draws[0].logits_row, 1);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(plan.draws[i + 1].logits_row, 0);
    EXPECT_EQ(plan.draws[i + 1].slot, static_cast<int>(i));
    EXPECT_EQ(plan.draws[i + 1].index, i);
    EXPECT_EQ(plan.draws[i + 1].place, i);
  }
}

TEST(StepPlan, GivesDraftsDecodeRowsWithAContextOfTheirOwn) {
  const auto a = RequestOf(1, 3, 4, {9}), b = RequestOf(2, 5, 2, {8, 7}), prompt = RequestOf(3, 12, 0, {3});
  b->sampling.processors.presence_penalty = 1;
  int32_t newest[3] = {};
  Step step;
  step.entries = {{&prompt->sequences[0], 2, 6, 0}, {&a->sequences[0], 2, 1, 1}, {&b->sequences[0], 4, 1, 1, {71, 72}}};
  const StepPlan plan = PlanRows(step, 16);
  EXPECT_EQ(plan.decode_rows, 4);
  EXPECT_EQ(plan.table_rows, 5);
  EXPECT_EQ(plan.first_token, (std::vector<int>{4, 0, 1}));
  EXPECT_EQ(plan.logits_rows, 4);
  ASSERT_EQ(plan.draws.size(), 4u);
  EXPECT_EQ(plan.plain_draws, 1);
  for (size_t i = 0; i < 3; ++i) {
    const PlannedDraw& draw = plan.draws[1 + i];
    EXPECT_EQ(draw.entry, 2u);
    EXPECT_EQ(draw.place, i);
    EXPECT_EQ(draw.drafts, i);
    EXPECT_EQ(draw.position, 5 + i);
    EXPECT_EQ(draw.logits_row, static_cast<int>(1 + i));
    EXPECT_EQ(SamplingRowOf(draw, newest).history_end, i == 0 ? &newest[2] : nullptr) << "one row writes it";
  }

  const Filled filled(step, plan, 2);
  EXPECT_EQ(First(filled.arrays.tokens, 4), (std::vector<int32_t>{12, 24, 71, 72}));
  EXPECT_EQ(First(filled.arrays.positions, 10), (std::vector<int32_t>{2, 4, 5, 6, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(First(filled.arrays.context_lengths, 4), (std::vector<int32_t>{3, 5, 6, 7}));
  EXPECT_EQ(First(filled.arrays.table_rows, 10), (std::vector<int32_t>{0, 1, 2, 3, 4, 4, 4, 4, 4, 4}));
  EXPECT_EQ(First(filled.arrays.logits_rows, 4), (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(First(filled.block_table.data(), 10), (std::vector<int32_t>{9, -7, 8, 7, 8, 7, 8, 7, 3, -7}));

  step.entries.erase(step.entries.begin());
  const StepPlan decode = PlanRows(step, 16);
  EXPECT_TRUE(decode.decode_only());
  EXPECT_EQ(decode.table_rows, 4);
  EXPECT_EQ(decode.tokens, 4);
}

}  // namespace
}  // namespace embedded::cuda
