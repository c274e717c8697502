#include "native/embedded/cuda/processor_upload.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace embedded::cuda {
namespace {

int32_t Int(size_t value) { return static_cast<int32_t>(std::min<size_t>(value, std::numeric_limits<int32_t>::max())); }

template <typename T>
void Put(const std::vector<T>& values, uint8_t* to) {
  if (!values.empty()) std::memcpy(to, values.data(), sizeof(T) * values.size());
}

}  // namespace

void ProcessorUpload::Add(const LogitsProcessorParams& params, int logits_row, const std::vector<int32_t>& known,
                          size_t length) {
  ProcessorRow row;
  row.logits_row = logits_row;
  row.history_tokens = Int(length);
  row.repetition_penalty = params.repetition_penalty;
  row.presence_penalty = params.presence_penalty;
  row.frequency_penalty = params.frequency_penalty;
  row.penalized_from = Int(params.penalized_from);
  row.no_repeat_ngram = Int(params.no_repeat_ngram);
  row.min_length = Int(params.min_length);

  row.bias = {Int(biases_.size()), Int(params.bias.size())};
  const size_t first_bias = biases_.size();
  for (const TokenBias& bias : params.bias) biases_.push_back({bias.token, bias.value});
  std::stable_sort(biases_.begin() + static_cast<std::ptrdiff_t>(first_bias), biases_.end(),
                   [](const DeviceTokenBias& a, const DeviceTokenBias& b) { return a.token < b.token; });
  row.end_ids = {Int(end_ids_.size()), Int(params.end_ids.size())};
  end_ids_.insert(end_ids_.end(), params.end_ids.begin(), params.end_ids.end());
  row.bad_words = {Int(bad_words_.size()), Int(params.bad_words.size())};
  for (const std::vector<int32_t>& word : params.bad_words) {
    bad_words_.push_back({Int(bad_word_tokens_.size()), Int(word.size())});
    bad_word_tokens_.insert(bad_word_tokens_.end(), word.begin(), word.end());
  }
  history_begins_.push_back(histories_.size());
  if (params.needs_history()) histories_.insert(histories_.end(), known.begin(), known.end());
  rows_.push_back(row);
}

void ProcessorUpload::SetOfLogprobs() {
  rows_.back().of_logprobs = 1;
  has_logprobs_ = true;
}

void ProcessorUpload::SetMask(size_t row, const std::vector<uint32_t>& mask) {
  rows_[row].mask = {Int(masks_.size()), Int(mask.size())};
  masks_.insert(masks_.end(), mask.begin(), mask.end());
}

ProcessorUpload::Parts ProcessorUpload::LayOut() const {
  Parts parts{};
  const auto take = [&](const auto& values) {
    constexpr size_t kAlignment = 16;
    const size_t at = parts.bytes;
    parts.bytes += (sizeof(values[0]) * values.size() + kAlignment - 1) / kAlignment * kAlignment;
    return at;
  };
  parts.rows = take(rows_);
  parts.biases = take(biases_);
  parts.bad_words = take(bad_words_);
  parts.end_ids = take(end_ids_);
  parts.bad_word_tokens = take(bad_word_tokens_);
  parts.masks = take(masks_);
  parts.histories = take(histories_);
  return parts;
}

size_t ProcessorUpload::bytes() const { return LayOut().bytes; }

void ProcessorUpload::Write(void* host, void* device) const {
  const Parts parts = LayOut();
  uint8_t* const to = static_cast<uint8_t*>(host);
  const auto* const histories = reinterpret_cast<const int32_t*>(static_cast<uint8_t*>(device) + parts.histories);
  std::vector<ProcessorRow> rows = rows_;
  for (size_t i = 0; i < rows.size(); ++i) rows[i].history = histories + history_begins_[i];
  Put(rows, to + parts.rows);
  Put(biases_, to + parts.biases);
  Put(bad_words_, to + parts.bad_words);
  Put(end_ids_, to + parts.end_ids);
  Put(bad_word_tokens_, to + parts.bad_word_tokens);
  Put(masks_, to + parts.masks);
  Put(histories_, to + parts.histories);
}

LogitsProcessorBuffers ProcessorUpload::Buffers(void* device) const {
  const Parts parts = LayOut();
  const uint8_t* const at = static_cast<const uint8_t*>(device);
  LogitsProcessorBuffers buffers{};
  buffers.rows = reinterpret_cast<const ProcessorRow*>(at + parts.rows);
  buffers.biases = reinterpret_cast<const DeviceTokenBias*>(at + parts.biases);
  buffers.end_ids = reinterpret_cast<const int32_t*>(at + parts.end_ids);
  buffers.bad_words = reinterpret_cast<const ListSlice*>(at + parts.bad_words);
  buffers.bad_word_tokens = reinterpret_cast<const int32_t*>(at + parts.bad_word_tokens);
  buffers.masks = reinterpret_cast<const uint32_t*>(at + parts.masks);
  return buffers;
}

}  // namespace embedded::cuda
