#include "native/executor/cpp/batch_builder.h"

#include <limits>
#include <utility>

namespace executor {

void BatchBuilder::Add(BatchRow row, uint64_t step) {
  step_ = step;
  request_ids_.push_back(row.request_id);
  sequences_.push_back(row.sequence);
  finish_.push_back(static_cast<uint8_t>(row.finish));
  flags_.push_back(row.flags);
  for (size_t i = 0; i < row.tokens.size(); ++i) {
    tokens_.push_back(row.tokens[i]);
    const bool has_logprob = i < row.logprobs.size();
    logprobs_.push_back(has_logprob ? row.logprobs[i] : std::numeric_limits<float>::quiet_NaN());
    has_logprobs_ |= has_logprob;
    if (i < row.top_logprobs.size())
      for (const TokenLogprob& top : row.top_logprobs[i]) {
        top_tokens_.push_back(top.token);
        top_logprobs_.push_back(top.logprob);
      }
    top_offsets_.push_back(static_cast<uint32_t>(top_tokens_.size()));
  }
  token_offsets_.push_back(static_cast<uint32_t>(tokens_.size()));
  details_.push_back(row.details == nullptr ? nullptr : AddDetails(std::move(row.details)));
}

const ExecutorRowDetails* BatchBuilder::AddDetails(std::unique_ptr<BatchRowDetails> details) {
  Details& memory = details_memory_.emplace_back();
  memory.row = std::move(details);
  const BatchRowDetails& row = *memory.row;
  ExecutorRowDetails& view = memory.row->numbers;
  view.size = sizeof(view);
  view.error = row.error.get();
  if (!row.context_logits.empty()) {
    memory.context_logits = LogitsTensor(row.context_logits);
    view.context_logits = &memory.context_logits;
  }
  if (!row.generation_logits.empty()) {
    memory.generation_logits = LogitsTensor(row.generation_logits);
    view.generation_logits = &memory.generation_logits;
  }
  if (!row.prompt_logprobs.empty()) {
    view.prompt_tokens = static_cast<uint32_t>(row.prompt_logprobs.size());  // their shape, usage or not
    view.prompt_logprobs = row.prompt_logprobs.data();
    view.prompt_top_count = static_cast<uint32_t>(row.prompt_top_tokens.size() / row.prompt_logprobs.size());
    view.prompt_top_tokens = row.prompt_top_tokens.data();
    view.prompt_top_logprobs = row.prompt_top_logprobs.data();
  }
  if (!row.embedding.empty()) {
    view.embedding = row.embedding.data();
    view.embedding_size = static_cast<uint32_t>(row.embedding.size());
  }
  for (const auto& [name, tensor] : row.additional_outputs)
    memory.additional_outputs.push_back({name.c_str(), tensor.view});
  view.additional_outputs = memory.additional_outputs.data();
  view.additional_output_count = static_cast<uint32_t>(memory.additional_outputs.size());
  if (row.context_phase) {
    const BatchRowContextPhase& phase = *row.context_phase;
    memory.context_phase = {sizeof(ExecutorContextPhase),
                            static_cast<uint32_t>(phase.first_tokens.size()),
                            phase.request_id,
                            phase.first_tokens.data(),
                            phase.draft_tokens.data(),
                            static_cast<uint32_t>(phase.draft_tokens.size()),
                            reinterpret_cast<const uint8_t*>(phase.state.data()),
                            phase.state.size()};
    view.context_phase = &memory.context_phase;
  }
  return &view;
}

ExecutorTensor BatchBuilder::LogitsTensor(const std::vector<float>& logits) const {
  const auto rows = static_cast<int64_t>(logits.size()) / vocab_size_;
  return {logits.data(), DATA_TYPE_FLOAT32, 2, {rows, vocab_size_, 0, 0}};
}

const ExecutorBatch* BatchBuilder::Batch() {
  batch_ = {};
  batch_.size = sizeof(batch_);
  batch_.row_count = static_cast<uint32_t>(request_ids_.size());
  batch_.step = step_;
  batch_.request_ids = request_ids_.data();
  batch_.sequences = sequences_.data();
  batch_.finish = finish_.data();
  batch_.flags = flags_.data();
  batch_.token_offsets = token_offsets_.data();
  batch_.tokens = tokens_.data();
  if (has_logprobs_) batch_.logprobs = logprobs_.data();
  if (!top_tokens_.empty()) {
    batch_.top_offsets = top_offsets_.data();
    batch_.top_tokens = top_tokens_.data();
    batch_.top_logprobs = top_logprobs_.data();
  }
  if (!details_memory_.empty()) batch_.details = details_.data();
  return &batch_;
}

void BatchBuilder::Clear() {
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
  has_logprobs_ = false;
}

}  // namespace executor
