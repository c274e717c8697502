#include "native/embedded/cuda/step_plan.h"

#include <algorithm>

namespace embedded::cuda {

int DecodeBucket(int rows, int max_rows) {
  int bucket = 1;
  while (bucket < rows) bucket += bucket < 8 ? bucket : bucket < 32 ? 8 : bucket < 128 ? 16 : 32;
  return std::min(bucket, max_rows);
}

std::vector<int> DecodeBuckets(int max_rows) {
  std::vector<int> buckets{1};
  while (buckets.back() < max_rows) buckets.push_back(DecodeBucket(buckets.back() + 1, max_rows));
  return buckets;
}

int PaddedTokens(int tokens) {
  const int multiple = tokens <= 64 ? 8 : tokens <= 512 ? 16 : 64;
  return (tokens + multiple - 1) / multiple * multiple;
}

StepPlan PlanRows(const Step& step, int max_sequences) {
  StepPlan plan;
  plan.first_token.resize(step.entries.size());
  const auto place = [&](bool of_one_token) {
    for (size_t i = 0; i < step.entries.size(); ++i) {
      const StepEntry& entry = step.entries[i];
      if ((entry.tokens == 1) != of_one_token) continue;
      plan.order.push_back(i);
      plan.first_token[i] = plan.tokens;
      plan.tokens += entry.rows();
    }
  };
  place(true);
  plan.decode_rows = plan.tokens;
  const size_t decode_entries = plan.order.size();
  place(false);
  plan.table_rows = plan.decode_rows + static_cast<int>(plan.order.size() - decode_entries);

  std::vector<PlannedDraw> processed;
  for (const size_t i : plan.order) {
    const StepEntry& entry = step.entries[i];
    if (entry.draws == 0) continue;
    const RequestSequence& sequence = *SequenceOf(entry);
    const Request& request = *sequence.request;
    std::vector<PlannedDraw>& draws = request.sampling.processors.none() ? plan.draws : processed;
    size_t place = 0;
    for (size_t drafts = 0; drafts <= entry.drafts.size(); ++drafts, ++plan.logits_rows)
      for (int draw = 0; draw < entry.draws; ++draw) {
        const RequestSequence& target = request.sequences[sequence.index + static_cast<uint32_t>(draw)];
        draws.push_back({&sequence, target.index, target.slot, i, place++, plan.logits_rows,
                         entry.first + static_cast<size_t>(entry.tokens) + drafts, drafts});
      }
  }
  plan.plain_draws = static_cast<int>(plan.draws.size());
  plan.draws.insert(plan.draws.end(), processed.begin(), processed.end());

  if (plan.decode_only()) {
    plan.tokens = plan.decode_rows = plan.logits_rows = DecodeBucket(plan.tokens, max_sequences);
  } else {
    plan.tokens = PaddedTokens(plan.tokens);
  }
  return plan;
}

int FillArrays(const Step& step, const StepPlan& plan, const StepArrays& arrays, int32_t* block_table, int max_blocks) {
  int token = 0, row = 0, logits_row = 0, longest = 0;
  for (const size_t i : plan.order) {
    const StepEntry& entry = step.entries[i];
    const Sequence& sequence = *entry.sequence;
    const size_t known = sequence.tokens.size();
    const size_t blocks = std::min(sequence.block_table.size(), static_cast<size_t>(max_blocks));
    longest = std::max(longest, static_cast<int>(blocks));
    const auto begin_row = [&] {
      std::copy_n(sequence.block_table.begin(), blocks, block_table + static_cast<size_t>(row) * max_blocks);
    };
    const auto place_token = [&](size_t position, int32_t id, int32_t newest_slot) {
      arrays.tokens[token] = id;
      arrays.newest_slots[token] = newest_slot;
      arrays.positions[token] = static_cast<int32_t>(position);
      arrays.table_rows[token++] = row;
    };
    begin_row();
    if (row < plan.decode_rows) arrays.context_lengths[row] = static_cast<int32_t>(entry.first) + 1;
    size_t position = entry.first;
    for (; position < entry.first + static_cast<size_t>(entry.tokens); ++position)
      place_token(position, position < known ? sequence.tokens[position] : -1, position < known ? -1 : sequence.slot);
    if (entry.draws > 0) arrays.logits_rows[logits_row++] = token - 1;
    ++row;
    for (const int32_t draft : entry.drafts) {
      begin_row();
      arrays.context_lengths[row] = static_cast<int32_t>(position) + 1;
      arrays.logits_rows[logits_row++] = token;
      place_token(position++, draft, -1);
      ++row;
    }
  }
  for (; token < plan.tokens; ++token) {
    arrays.tokens[token] = arrays.newest_slots[token] = arrays.positions[token] = -1;
    arrays.table_rows[token] = 0;
  }
  for (; row < plan.decode_rows; ++row) arrays.context_lengths[row] = 0;
  for (; logits_row < plan.logits_rows; ++logits_row) arrays.logits_rows[logits_row] = -1;
  return longest;
}

void FillAdapterSlots(const Step& step, const StepPlan& plan, const std::vector<int>& slots, const StepArrays& arrays) {
  int32_t* row = arrays.adapter_slots;
  for (const size_t i : plan.order) row = std::fill_n(row, step.entries[i].rows(), slots[i]);
  std::fill(row, arrays.adapter_slots + plan.tokens, kNoAdapterSlot);
}

std::vector<PrefillSequence> PrefillSequencesOf(const Step& step, const StepPlan& plan) {
  std::vector<PrefillSequence> sequences;
  for (const size_t i : plan.order) {
    const StepEntry& entry = step.entries[i];
    if (entry.tokens > 1)
      sequences.push_back(
          {entry.tokens, static_cast<int>(entry.first) + entry.tokens, entry.sequence->block_table.data()});
  }
  return sequences;
}

}  // namespace embedded::cuda
