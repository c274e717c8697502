#include "native/isolation/batch_slice.h"

namespace isolation {
namespace {

// The offsets [first, end] from 0 on.
std::vector<uint32_t> Rebased(const uint32_t* offsets, uint32_t first, uint32_t end) {
  std::vector<uint32_t> rebased(offsets + first, offsets + end + 1);
  for (uint32_t& offset : rebased) offset -= offsets[first];
  return rebased;
}

template <typename T>
void Advance(const T** array, uint32_t count) {
  if (*array != nullptr) *array += count;
}

}  // namespace

BatchSlice::BatchSlice(const ExecutorBatch& batch, uint32_t first, uint32_t end)
    : token_offsets_(Rebased(batch.token_offsets, first, end)), slice_(batch) {
  const uint32_t first_token = batch.token_offsets[first];
  const uint32_t end_token = batch.token_offsets[end];
  slice_.row_count = end - first;
  slice_.token_offsets = token_offsets_.data();
  Advance(&slice_.request_ids, first);
  Advance(&slice_.sequences, first);
  Advance(&slice_.finish, first);
  Advance(&slice_.flags, first);
  Advance(&slice_.details, first);
  Advance(&slice_.tokens, first_token);
  Advance(&slice_.logprobs, first_token);
  if (batch.top_offsets == nullptr) return;
  top_offsets_ = Rebased(batch.top_offsets, first_token, end_token);
  slice_.top_offsets = top_offsets_.data();
  Advance(&slice_.top_tokens, batch.top_offsets[first_token]);
  Advance(&slice_.top_logprobs, batch.top_offsets[first_token]);
}

bool IsLargeRow(const ExecutorBatch& batch, uint32_t row) {
  const ExecutorRowDetails* const details = batch.details == nullptr ? nullptr : batch.details[row];
  return details != nullptr && (details->context_logits != nullptr || details->generation_logits != nullptr ||
                                details->prompt_logprobs != nullptr || details->additional_output_count > 0 ||
                                details->context_phase != nullptr || details->embedding != nullptr);
}

}  // namespace isolation
