#include "native/embedded/scheduler.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace embedded {
namespace {

// A pending token ends it, or has to be known before it goes on.
bool AwaitsItsToken(const Sequence& sequence) {
  return sequence.pending_tokens > 0 &&
         (!sequence.planned_ahead || sequence.has_unverified_drafts || sequence.length() >= sequence.max_length);
}

}  // namespace

void ExtendKeys(Sequence* sequence, size_t tokens_per_block) {
  std::vector<BlockKey>& keys = sequence->keys;
  while ((keys.size() + 1) * tokens_per_block <= sequence->tokens.size())
    keys.push_back(NextKey(keys.empty() ? sequence->root_key : keys.back(),
                           sequence->tokens.data() + keys.size() * tokens_per_block, tokens_per_block));
}

void KeepWritten(Sequence* sequence, BlockPool* blocks) {
  const size_t tokens_per_block = static_cast<size_t>(blocks->tokens_per_block());
  const size_t written = std::min(sequence->block_table.size(),  // none where it was removed before
                                  std::min(sequence->computed_tokens, sequence->tokens.size()) / tokens_per_block);
  if (sequence->kept_blocks >= written) return;
  ExtendKeys(sequence, tokens_per_block);
  for (size_t& i = sequence->kept_blocks; i < written; ++i) {
    const auto first = sequence->tokens.begin() + static_cast<std::ptrdiff_t>(i * tokens_per_block);
    blocks->Keep(sequence->block_table[i],
                 {sequence->keys[i],
                  i == 0 ? sequence->root_key : sequence->keys[i - 1],
                  {first, first + static_cast<std::ptrdiff_t>(tokens_per_block)},
                  i == 0,
                  sequence->lora_id},
                 sequence->retention.At(i * tokens_per_block).value_or(Retention{}));
  }
}

bool TakesDrafts(const StepEntry& entry) {
  return entry.draws == 1 && entry.tokens == 1 && entry.first + 1 == entry.sequence->tokens.size();
}

Scheduler::Scheduler(SchedulerLimits limits, BlockPool blocks) : limits_(limits), blocks_(std::move(blocks)) {
  for (int slot = limits.max_sequences; slot > 0; --slot) free_slots_.push_back(slot - 1);
}

void Scheduler::Add(Sequence* sequence) {
  std::list<Sequence*>& equals = waiting_[sequence->priority];
  sequence->waits_at = equals.insert(equals.end(), sequence);
}

void Scheduler::LeaveQueue(Sequence* sequence) {
  const auto equals = waiting_.find(sequence->priority);
  equals->second.erase(*std::exchange(sequence->waits_at, std::nullopt));
  if (equals->second.empty()) waiting_.erase(equals);
}

std::vector<Sequence*> Scheduler::waiting() const {
  std::vector<Sequence*> all;
  for (const auto& [priority, equals] : waiting_) all.insert(all.end(), equals.begin(), equals.end());
  return all;
}

void Scheduler::Remove(Sequence* sequence) {
  if (sequence->waits_at)
    LeaveQueue(sequence);
  else
    running_.erase(std::remove(running_.begin(), running_.end(), sequence), running_.end());
  KeepEnd(sequence);
  GiveBlocksBack(sequence);
  GiveSlotBack(sequence);
}

Step Scheduler::PlanStep() {
  Step step;
  // What steps planned before this one write may be read from this one on, and not earlier: within a step nothing says
  // which entry is computed first.
  for (Sequence* sequence : running_) KeepWritten(sequence);
  size_t budget = static_cast<size_t>(limits_.max_step_tokens);
  const auto schedule = [&](Sequence* sequence) {
    const size_t tokens = std::min(budget, sequence->tokens_to_compute());
    const bool completes = tokens == sequence->tokens_to_compute();
    const int draws = completes && sequence->draws ? 1 + static_cast<int>(sequence->forks.size()) : 0;
    step.entries.push_back({sequence, sequence->computed_tokens, static_cast<int>(tokens), draws});
    sequence->computed_tokens += tokens;
    if (completes) ++sequence->pending_tokens;
    budget -= tokens;
  };
  for (size_t i = 0; i < running_.size() && budget > 0;) {  // oldest first
    const auto first = running_.begin() + static_cast<std::ptrdiff_t>(i);
    const size_t together = CountTogether(i);
    const auto end = first + static_cast<std::ptrdiff_t>(together);
    const auto take_blocks = [&](Sequence* sequence) { return TakeBlocks(sequence); };
    if (AwaitsItsToken(**first)) {
      i += together;
    } else if (std::all_of(first, end, take_blocks)) {
      std::for_each(first, end, schedule);
      i += together;
    } else {
      PreemptFrom(i);  // at worst these
    }
  }
  size_t slots = static_cast<size_t>(limits_.max_sequences) - TakenSlots();
  while (budget > 0 && !waiting_.empty()) {
    Sequence* const next = waiting_.begin()->second.front();
    if (next->forks.size() + 1 > slots) break;
    if (next->pending_tokens > 0) break;  // it was preempted while a step ran that gives it a token
    // Those that go together would only be preempted where there is not a block for each beside the full ones.
    const size_t full = next->length() / static_cast<size_t>(blocks_.tokens_per_block());
    if (next->leader != nullptr && full + next->forks.size() + 1 > static_cast<size_t>(blocks_.free_blocks())) break;
    if (!TakeFirstBlocks(next)) break;  // no shorter prompt overtakes
    slots -= next->forks.size() + 1;
    TakeSlot(next);
    running_.push_back(next);
    LeaveQueue(next);
    schedule(next);
  }
  for (const StepEntry& entry : step.entries)
    if (entry.draws > 1) Fork(entry.sequence);
  if (!step.entries.empty()) step.copies = blocks_.TakeCopies();  // else it is not computed: the next one makes them
  return step;
}

void Scheduler::AddDrafts(Step* step, const std::function<std::vector<int32_t>(Sequence*, size_t most)>& propose) {
  int left = RoomForDrafts(*step);
  for (StepEntry& entry : step->entries) {
    Sequence* const sequence = entry.sequence;
    const size_t known = sequence->tokens.size();
    if (left <= 0 || !TakesDrafts(entry)) continue;
    const size_t blocks = sequence->block_table.size() + static_cast<size_t>(blocks_.free_blocks());
    const size_t room = blocks * static_cast<size_t>(blocks_.tokens_per_block()) - known;
    const size_t most = std::min({static_cast<size_t>(left), room, sequence->max_length - sequence->length()});
    if (most == 0) continue;
    entry.drafts = propose(sequence, most);
    if (entry.drafts.empty()) continue;
    const uint64_t allocations = blocks_.allocations();
    blocks_.Grow(&sequence->block_table, known + entry.drafts.size());
    sequence->allocated_blocks += blocks_.allocations() - allocations;
    sequence->has_unverified_drafts = true;
    left -= static_cast<int>(entry.drafts.size());
  }
  if (step->entries.empty()) return;
  const std::vector<BlockCopy> copies = blocks_.TakeCopies();  // a block of a draft was another's
  step->copies.insert(step->copies.end(), copies.begin(), copies.end());
}

int Scheduler::RoomForDrafts(const Step& step) const {
  int left_tokens = limits_.max_step_tokens, left_draws = limits_.max_draws;
  for (const StepEntry& entry : step.entries) {
    left_tokens -= entry.tokens;
    left_draws -= std::max(entry.draws, 1);
  }
  return std::min(left_tokens, left_draws);
}

size_t Scheduler::TakenSlots() const {
  size_t slots = 0;
  for (const Sequence* sequence : running_) slots += 1 + sequence->forks.size();
  return slots;
}

// Blocks for all tokens the sequence has, not for its chunk: two prompts half in the cache could each wait for the
// other's blocks. False if too few are free.
bool Scheduler::TakeBlocks(Sequence* sequence) {
  const uint64_t allocations = blocks_.allocations();
  const size_t written = sequence->computed_tokens / static_cast<size_t>(blocks_.tokens_per_block());
  if (written < sequence->block_table.size()) {  // of the blocks from here on, only this one can be shared
    int& block = sequence->block_table[written];
    if (blocks_.shared(block) && !blocks_.Unshare(&block)) return false;
  }
  const bool enough = blocks_.Grow(&sequence->block_table, sequence->length());
  sequence->allocated_blocks += blocks_.allocations() - allocations;
  return enough;
}

// The same for one that has none, which begins after what is kept of its tokens. The last token is computed in any case:
// its logits are needed.
bool Scheduler::TakeFirstBlocks(Sequence* sequence) {
  const size_t tokens_per_block = static_cast<size_t>(blocks_.tokens_per_block());
  size_t limit = 0;
  if (limits_.keeps_blocks && sequence->most_kept_tokens > 0) {
    ExtendKeys(sequence, tokens_per_block);
    limit = std::min(sequence->length() - 1, sequence->most_kept_tokens);
  }
  const uint64_t allocations = blocks_.allocations();
  const auto found = blocks_.GrowFromKept(
      &sequence->block_table, {sequence->root_key, sequence->keys, sequence->tokens.data(), limit}, sequence->length());
  if (!found) return false;
  const size_t kept = found->blocks;
  for (size_t i = 0; i < kept; ++i)
    if (const auto retention = sequence->retention.At(i * tokens_per_block))
      blocks_.SetRetention(sequence->block_table[i], *retention);
  sequence->computed_tokens = found->tokens;
  sequence->kept_blocks = kept;
  if (!std::exchange(sequence->has_started, true)) {
    sequence->reused_tokens = found->tokens;
    sequence->reused_blocks = (found->tokens + tokens_per_block - 1) / tokens_per_block;
    sequence->missed_blocks = sequence->block_table.size() - sequence->reused_blocks;
    reused_blocks_ += sequence->reused_blocks;
    missed_blocks_ += sequence->missed_blocks;
  }
  sequence->allocated_blocks += blocks_.allocations() - allocations;
  return true;
}

void Scheduler::KeepWritten(Sequence* sequence) {
  if (limits_.keeps_blocks) embedded::KeepWritten(sequence, &blocks_);
}

// Offers the block that it has begun too: its conversation may go on. What steps in flight still write to it comes behind
// these tokens.
void Scheduler::KeepEnd(Sequence* sequence) {
  if (!limits_.keeps_blocks) return;
  KeepWritten(sequence);
  const size_t begin = sequence->kept_blocks * static_cast<size_t>(blocks_.tokens_per_block());
  const size_t end = std::min(sequence->computed_tokens, sequence->tokens.size());
  if (end <= begin || sequence->kept_blocks >= sequence->block_table.size()) return;
  const BlockKey before = sequence->kept_blocks == 0 ? sequence->root_key : sequence->keys[sequence->kept_blocks - 1];
  const std::vector<int32_t> tokens(sequence->tokens.begin() + static_cast<std::ptrdiff_t>(begin),
                                    sequence->tokens.begin() + static_cast<std::ptrdiff_t>(end));
  blocks_.KeepPart(sequence->block_table[sequence->kept_blocks],
                   {NextKey(before, tokens.data(), tokens.size()), before, tokens, begin == 0, sequence->lora_id},
                   sequence->retention.At(begin).value_or(Retention{}));
}

void Scheduler::GiveBlocksBack(Sequence* sequence) {
  KeepWritten(sequence);
  sequence->kept_blocks = 0;
  blocks_.Free(&sequence->block_table);
}

// How many sequences from there on are planned together.
size_t Scheduler::CountTogether(size_t first) const {
  const Sequence* const leader = running_[first]->leader;
  size_t end = first + 1;
  while (leader != nullptr && end < running_.size() && running_[end]->leader == leader) ++end;
  return end - first;
}

// One that the step does not have yet, and those that go with it: those before `first` may be part of the step.
void Scheduler::PreemptFrom(size_t first) {
  const auto from = running_.begin() + static_cast<std::ptrdiff_t>(first);
  const auto least = std::min_element(std::make_reverse_iterator(running_.end()), std::make_reverse_iterator(from),
                                      [](const Sequence* a, const Sequence* b) { return a->priority < b->priority; });
  const auto end = least.base();
  auto begin = std::prev(end);
  if ((*begin)->leader != nullptr) begin = std::find(from, end, (*begin)->leader);
  Sequence* const preempted = *begin;
  for (auto sequence = begin; sequence != end; ++sequence) {
    KeepEnd(*sequence);
    GiveBlocksBack(*sequence);
    GiveSlotBack(*sequence);
  }
  preempted->forks.insert(preempted->forks.end(), std::next(begin), end);
  running_.erase(begin, end);
  preempted->computed_tokens = 0;
  if (preempted->tokens.size() > preempted->restart_length) {
    preempted->tokens.resize(preempted->restart_length);
    preempted->keys.resize(
        std::min(preempted->keys.size(), preempted->restart_length / static_cast<size_t>(blocks_.tokens_per_block())));
  }
  std::list<Sequence*>& equals = waiting_[preempted->priority];
  preempted->waits_at = equals.insert(equals.begin(), preempted);
  ++preemptions_;
}

// The forks run beside the sequence from the next step on, with its tokens and sharing its blocks.
void Scheduler::Fork(Sequence* sequence) {
  for (Sequence* fork : sequence->forks) {
    CopyProgress(*sequence, fork);
    TakeSlot(fork);
    fork->has_started = true;
  }
  running_.insert(std::find(running_.begin(), running_.end(), sequence) + 1, sequence->forks.begin(),
                  sequence->forks.end());
  sequence->forks.clear();
}

void Scheduler::CopyProgress(const Sequence& from, Sequence* to) {
  to->tokens = from.tokens;
  to->pending_tokens = from.pending_tokens;
  to->computed_tokens = from.computed_tokens;
  to->block_table = blocks_.Share(from.block_table);
  to->keys = from.keys;
  to->kept_blocks = from.kept_blocks;
}

void Scheduler::Replace(Sequence* sequence, const Sequence& by) {
  GiveBlocksBack(sequence);
  CopyProgress(by, sequence);
}

void Scheduler::TakeSlot(Sequence* sequence) {
  sequence->slot = free_slots_.back();
  free_slots_.pop_back();
}

void Scheduler::GiveSlotBack(Sequence* sequence) {
  if (sequence->slot != kNoSlot) free_slots_.push_back(std::exchange(sequence->slot, kNoSlot));
}

}  // namespace embedded
