#include "tensorrt_llm/outbox.h"

#include <limits>

namespace adapter {

void Outbox::AddTokens(const Row& row) {
  for (size_t i = 0; i < row.tokens.size(); ++i) {
    tokens_.push_back(row.tokens[i]);
    logprobs_.push_back(i < row.logprobs.size() ? row.logprobs[i] : std::numeric_limits<float>::quiet_NaN());
    has_logprobs_ |= i < row.logprobs.size();
    if (i < row.top_logprobs.size())
      for (const TokenLogprob& top : row.top_logprobs[i]) {
        top_tokens_.push_back(top.token);
        top_logprobs_.push_back(top.logprob);
      }
    top_offsets_.push_back(static_cast<uint32_t>(top_tokens_.size()));
  }
  token_offsets_.push_back(static_cast<uint32_t>(tokens_.size()));
}

ExecutorTensor Outbox::LogitsTensor(const std::vector<float>& logits) const {
  return {logits.data(), DATA_TYPE_FLOAT32, 2, {static_cast<int64_t>(logits.size()) / vocab_size_, vocab_size_, 0, 0}};
}

const ExecutorRowDetails* Outbox::Link(RowDetails* details, Tensors* tensors) const {
  if (details == nullptr) return nullptr;
  ExecutorRowDetails& view = details->numbers;
  view.size = sizeof(view);
  if (details->error) view.error = &*details->error;
  if (!details->context_logits.empty()) {
    tensors->context_logits = LogitsTensor(details->context_logits);
    view.context_logits = &tensors->context_logits;
  }
  if (!details->generation_logits.empty()) {
    tensors->generation_logits = LogitsTensor(details->generation_logits);
    view.generation_logits = &tensors->generation_logits;
  }
  if (!details->prompt_logprobs.empty()) {
    view.prompt_logprobs = details->prompt_logprobs.data();
    view.prompt_top_count = static_cast<uint32_t>(details->prompt_top_tokens.size() / details->prompt_logprobs.size());
    view.prompt_top_tokens = details->prompt_top_tokens.data();
    view.prompt_top_logprobs = details->prompt_top_logprobs.data();
  }
  for (const auto& [name, tensor] : details->additional_outputs)
    tensors->additional_outputs.push_back({name.c_str(), tensor.view});
  view.additional_outputs = tensors->additional_outputs.data();
  view.additional_output_count = static_cast<uint32_t>(tensors->additional_outputs.size());
  if (details->context_phase) {
    const RowContextPhase& phase = *details->context_phase;
    tensors->context_phase = {sizeof(ExecutorContextPhase),
                              static_cast<uint32_t>(phase.first_tokens.size()),
                              phase.request_id,
                              phase.first_tokens.data(),
                              phase.draft_tokens.data(),
                              static_cast<uint32_t>(phase.draft_tokens.size()),
                              reinterpret_cast<const uint8_t*>(phase.state.data()),
                              phase.state.size()};
    view.context_phase = &tensors->context_phase;
  }
  return &view;
}

const ExecutorBatch* Outbox::Batch(uint64_t step) {
  request_ids_.clear();
  sequences_.clear();
  finish_.clear();
  flags_.clear();
  token_offsets_.assign(1, 0);
  tokens_.clear();
  logprobs_.clear();
  top_offsets_.assign(1, 0);
  top_tokens_.clear();
  top_logprobs_.clear();
  details_.clear();
  tensors_.clear();
  tensors_.resize(rows_.size());
  has_logprobs_ = false;
  bool has_details = false;
  for (size_t i = 0; i < rows_.size(); ++i) {
    Row& row = rows_[i];
    request_ids_.push_back(row.request_id);
    sequences_.push_back(row.sequence);
    finish_.push_back(static_cast<uint8_t>(row.finish));
    flags_.push_back(row.flags);
    AddTokens(row);
    details_.push_back(Link(row.details.get(), &tensors_[i]));
    has_details |= row.details != nullptr;
  }
  batch_ = {};
  batch_.size = sizeof(batch_);
  batch_.row_count = static_cast<uint32_t>(rows_.size());
  batch_.step = step;
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
  if (has_details) batch_.details = details_.data();
  return &batch_;
}

}  // namespace adapter
