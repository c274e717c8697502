#include "native/embedded/draft_model.h"

#include <algorithm>
#include <utility>

namespace embedded {
namespace {

bool Knows(int vocab_size, const LogitsProcessorParams& processors) {
  return std::all_of(processors.bias.begin(), processors.bias.end(),
                     [&](const TokenBias& bias) { return bias.token < vocab_size; }) &&
         std::all_of(processors.end_ids.begin(), processors.end_ids.end(),
                     [&](int32_t token) { return token < vocab_size; });
}

// What the runner computes for a sequence: its tokens, drawn greedily, and of what its request changes about logits that which
// can be changed while a token is not known yet.
std::shared_ptr<Request> MakeOwn(const RequestSequence& sequence, int vocab_size) {
  const LogitsProcessorParams& processors = sequence.request->sampling.processors;
  auto own = std::make_shared<Request>();
  own->id = sequence.request->id;
  own->prompt_tokens = sequence.request->prompt_tokens;
  own->sampling.temperature = 0;
  if (!processors.needs_history() && Knows(vocab_size, processors)) own->sampling.processors = processors;
  own->sequences.resize(own->outputs = own->sequences_left = 1);
  own->sequences.front().request = own.get();
  own->sequences.front().index = 0;
  own->sequences.front().root_key = sequence.root_key;
  return own;
}

}  // namespace

DraftModel::DraftModel(std::unique_ptr<ModelRunner> runner, const Limits& limits, int vocab_size)
    : runner_(std::move(runner)),
      max_step_tokens_(static_cast<size_t>(limits.max_num_tokens)),
      max_seq_len_(static_cast<size_t>(limits.max_seq_len)),
      vocab_size_(vocab_size),
      keeps_blocks_(limits.reuses_blocks),
      blocks_(runner_->info().kv_blocks, runner_->info().tokens_per_block) {}

void DraftModel::Begin(const std::vector<Wish>& wishes) {
  FreeEnded();
  wished_.clear();
  for (const Wish& wish : wishes) {
    Drafted& drafted = drafted_[wish.sequence];
    if (TakeOver(wish, &drafted))
      wished_.push_back(&drafted);
    else
      wish.sequence->drafts->RestModel();
  }
}

void DraftModel::FreeEnded() {
  for (auto each = drafted_.begin(); each != drafted_.end();) {
    auto& [sequence, drafted] = *each;
    drafted.wanted = 0;
    const auto request = drafted.request.lock();
    if (request != nullptr && !sequence->block_table.empty()) {
      ++each;
      continue;
    }
    RequestSequence& own = drafted.sequence();
    own.tokens.resize(drafted.known);
    Free(&own);
    each = drafted_.erase(each);
  }
}

bool DraftModel::TakeOver(const Wish& wish, Drafted* drafted) {
  const std::vector<int32_t>& tokens = wish.sequence->tokens;
  if (drafted->own == nullptr) {
    drafted->request = wish.sequence->request->weak_from_this();
    drafted->own = MakeOwn(*wish.sequence, vocab_size_);
  }
  RequestSequence& own = drafted->sequence();
  own.slot = wish.sequence->slot;
  const auto agreed = std::mismatch(own.tokens.begin() + static_cast<std::ptrdiff_t>(drafted->known), own.tokens.end(),
                                    tokens.begin() + static_cast<std::ptrdiff_t>(drafted->known), tokens.end());
  own.computed_tokens =
      std::min({own.computed_tokens, static_cast<size_t>(agreed.first - own.tokens.begin()), tokens.size() - 1});
  own.tokens.erase(agreed.first, own.tokens.end());
  own.tokens.insert(own.tokens.end(), agreed.second, tokens.end());
  drafted->known = tokens.size();
  drafted->has_unknown_token |=
      std::any_of(agreed.second, tokens.end(), [&](int32_t token) { return token >= vocab_size_; });
  if (tokens.size() > max_seq_len_ || drafted->has_unknown_token) {
    Free(&own);
    return false;
  }
  if (keeps_blocks_) KeepWritten(&own, &blocks_);
  // The last draft is not computed.
  const size_t wanted = std::min(wish.tokens, max_seq_len_ - tokens.size() + 1);
  if (!TakeBlocks(&own, tokens.size() + wanted - 1)) return false;
  drafted->wanted = wanted;
  drafted->submitted = 0;
  return true;
}

void DraftModel::Free(RequestSequence* own) {
  if (keeps_blocks_) KeepWritten(own, &blocks_);
  blocks_.Free(&own->block_table);
}

bool DraftModel::TakeBlocks(RequestSequence* sequence, size_t tokens) {
  if (!sequence->block_table.empty() || !keeps_blocks_) return blocks_.Grow(&sequence->block_table, tokens);
  ExtendKeys(sequence, static_cast<size_t>(blocks_.tokens_per_block()));
  const KeptPrefix prefix{sequence->root_key, sequence->keys, sequence->tokens.data(), sequence->tokens.size() - 1};
  const auto found = blocks_.GrowFromKept(&sequence->block_table, prefix, tokens);
  if (!found) return false;
  sequence->computed_tokens = found->tokens;
  sequence->kept_blocks = found->blocks;
  return true;
}

void DraftModel::Compute(const std::atomic<bool>& abandon) {
  // A prompt that is new may take all tokens of a step, so it comes last.
  std::stable_sort(wished_.begin(), wished_.end(), [](const Drafted* a, const Drafted* b) {
    return a->sequence().tokens_to_compute() < b->sequence().tokens_to_compute();
  });
  Step step;
  std::vector<Drafted*> entries;
  const auto add = [&](Drafted* drafted, size_t tokens, bool draws) {
    RequestSequence& own = drafted->sequence();
    step.entries.push_back({&own, own.computed_tokens, static_cast<int>(tokens), draws ? 1 : 0});
    own.computed_tokens += tokens;
    drafted->submitted += draws;
    entries.push_back(draws ? drafted : nullptr);
  };
  size_t budget = max_step_tokens_;
  for (Drafted* drafted : wished_) {
    const size_t left = drafted->sequence().tokens_to_compute(), tokens = std::min(left, budget);
    if (tokens < left) drafted->wanted = 0;
    if (tokens > 0) add(drafted, tokens, tokens == left);
    budget -= tokens;
  }
  bool is_abandoned = false;
  while (!step.entries.empty() && !is_abandoned) {
    runner_->Submit(step, abandon);
    in_flight_.push_back(std::exchange(entries, {}));
    step.entries.clear();
    if (in_flight_.size() == static_cast<size_t>(info().max_steps_in_flight)) is_abandoned = !Collect();
    for (Drafted* drafted : wished_)
      if (drafted->submitted < drafted->wanted) add(drafted, 1, true);
  }
  while (!in_flight_.empty()) is_abandoned = !Collect() || is_abandoned;
  if (!is_abandoned) return;
  for (Drafted* drafted : wished_) drafted->wanted = 0;
}

bool DraftModel::Collect() {
  const StepResults results = runner_->Collect();
  const std::vector<Drafted*> entries = std::move(in_flight_.front());
  in_flight_.pop_front();
  if (results.empty()) return false;
  for (size_t i = 0; i < entries.size(); ++i) {
    Drafted* const drafted = entries[i];
    if (drafted == nullptr || drafted->wanted == 0) continue;
    const DrawResult& drawn = results[i].front();
    if (drawn.failure)
      drafted->wanted = 0;  // the sequence goes on without
    else
      drafted->sequence().tokens.push_back(drawn.output.tokens.front());
  }
  return true;
}

std::vector<int32_t> DraftModel::DraftsOf(const Sequence* sequence) const {
  const auto found = drafted_.find(sequence);
  if (found == drafted_.end() || found->second.wanted == 0) return {};
  const std::vector<int32_t>& tokens = found->second.sequence().tokens;
  return {tokens.begin() + static_cast<std::ptrdiff_t>(found->second.known), tokens.end()};
}

}  // namespace embedded
