#include "embedded/outbox.h"

#include <limits>
#include <utility>

namespace embedded {

void Outbox::Add(Row row, uint64_t step) {
  step_ = step;
  request_ids_.push_back(row.request_id);
  sequences_.push_back(row.sequence);
  finish_.push_back(static_cast<uint8_t>(row.finish));
  flags_.push_back(row.flags);
  for (size_t i = 0; i < row.output.tokens.size(); ++i) {
    tokens_.push_back(row.output.tokens[i]);
    const bool has_logprob = i < row.output.logprobs.size();
    logprobs_.push_back(has_logprob ? row.output.logprobs[i] : std::numeric_limits<float>::quiet_NaN());
    has_logprobs_ |= has_logprob;
    if (i < row.output.top_logprobs.size())
      for (const TokenLogprob& top : row.output.top_logprobs[i]) {
        top_tokens_.push_back(top.token);
        top_logprobs_.push_back(top.logprob);
        has_top_logprobs_ = true;
      }
    top_offsets_.push_back(static_cast<uint32_t>(top_tokens_.size()));
  }
  token_offsets_.push_back(static_cast<uint32_t>(tokens_.size()));
  details_.push_back(AddDetails(&row));
}

const ExecutorRowDetails* Outbox::AddDetails(Row* row) {
  const bool has_numbers = !row->prompt.logits.empty() || !row->prompt.logprobs.empty() || !row->output.logits.empty();
  if (!row->details && !has_numbers) return nullptr;
  Details& memory = details_memory_.emplace_back();
  memory.details = row->details.value_or(ExecutorRowDetails{});
  memory.details.size = sizeof(ExecutorRowDetails);
  memory.error = std::move(row->error);
  memory.details.error = memory.error.get();
  memory.prompt = std::move(row->prompt);
  memory.generation_logits = std::move(row->output.logits);
  memory.context_tensor = LogitsTensor(memory.prompt.logits);
  memory.generation_tensor = LogitsTensor(memory.generation_logits);
  if (!memory.prompt.logits.empty()) memory.details.context_logits = &memory.context_tensor;
  if (!memory.generation_logits.empty()) memory.details.generation_logits = &memory.generation_tensor;
  if (!memory.prompt.logprobs.empty()) {
    memory.details.prompt_tokens = static_cast<uint32_t>(memory.prompt.logprobs.size());  // their shape, usage or not
    memory.details.prompt_logprobs = memory.prompt.logprobs.data();
    memory.details.prompt_top_count =
        static_cast<uint32_t>(memory.prompt.top_tokens.size() / memory.prompt.logprobs.size());
  }
  if (memory.details.prompt_top_count > 0) {
    memory.details.prompt_top_tokens = memory.prompt.top_tokens.data();
    memory.details.prompt_top_logprobs = memory.prompt.top_logprobs.data();
  }
  return &memory.details;
}

ExecutorTensor Outbox::LogitsTensor(const std::vector<float>& logits) const {
  const auto rows = static_cast<int64_t>(logits.size()) / vocab_size_;
  return {logits.data(), DATA_TYPE_FLOAT32, 2, {rows, vocab_size_, 0, 0}};
}

const ExecutorBatch* Outbox::Batch() {
  batch_ = {};
  batch_.size = sizeof(ExecutorBatch);
  batch_.row_count = static_cast<uint32_t>(request_ids_.size());
  batch_.step = step_;
  batch_.request_ids = request_ids_.data();
  batch_.sequences = sequences_.data();
  batch_.finish = finish_.data();
  batch_.flags = flags_.data();
  batch_.token_offsets = token_offsets_.data();
  batch_.tokens = tokens_.data();
  if (has_logprobs_) batch_.logprobs = logprobs_.data();
  if (has_top_logprobs_) {
    batch_.top_offsets = top_offsets_.data();
    batch_.top_tokens = top_tokens_.data();
    batch_.top_logprobs = top_logprobs_.data();
  }
  if (!details_memory_.empty()) batch_.details = details_.data();
  return &batch_;
}

void Outbox::Clear() {
  request_ids_.clear();
  sequences_.clear();
  finish_.clear();
  flags_.clear();
  token_offsets_.resize(1);
  tokens_.clear();
  logprobs_.clear();
  top_offsets_.resize(1);
  top_tokens_.clear();
  top_logprobs_.clear();
  details_.clear();
  details_memory_.clear();
  has_logprobs_ = has_top_logprobs_ = false;
}

}  // namespace embedded
