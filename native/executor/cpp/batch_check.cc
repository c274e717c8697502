#include "native/executor/cpp/batch_check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "native/executor/cpp/failure.h"
#include "native/executor/cpp/tensor_bytes.h"

namespace executor {
namespace {

void Require(bool is_so, const char* what) {
  if (is_so) return;
  throw Failure(EXECUTOR_FAILED, std::string("The executor gave ") + what +
                                     ", which the contract does not allow. Load the engine again, and report this.");
}

template <size_t Size>
bool EndsInside(const char (&text)[Size]) {
  return std::memchr(text, 0, Size) != nullptr;
}

void CheckOffsets(const uint32_t* offsets, uint32_t count, const char* what) {
  Require(offsets != nullptr && offsets[0] == 0 && std::is_sorted(offsets, offsets + count + 1), what);
}

// Without a branch for each: this is every token's.
bool AllBelow(const int32_t* tokens, uint32_t count, uint32_t limit) {
  uint32_t is_outside = 0;
  for (uint32_t i = 0; i < count; ++i) is_outside |= static_cast<uint32_t>(tokens[i]) >= limit;
  return is_outside == 0;
}

void CheckTensor(const ExecutorTensor& tensor, const char* what) {
  Require(tensor.rank <= std::size(tensor.shape), what);
  bool is_empty = false;
  for (uint32_t i = 0; i < tensor.rank; ++i) {
    Require(tensor.shape[i] >= 0, what);
    is_empty = is_empty || tensor.shape[i] == 0;
  }
  Require(is_empty || (TensorBytes(tensor) > 0 && tensor.data != nullptr), what);
}

void CheckLogits(const ExecutorTensor& logits, uint64_t least_rows, uint32_t vocab_size, const char* what) {
  Require(logits.data_type == DATA_TYPE_FLOAT32 && logits.rank == 2, what);
  CheckTensor(logits, what);
  Require(static_cast<uint64_t>(logits.shape[0]) >= least_rows &&
              static_cast<uint64_t>(logits.shape[0]) <= std::numeric_limits<uint32_t>::max() &&
              logits.shape[1] == vocab_size,
          what);
}

void CheckDetails(const ExecutorRowDetails& details, uint32_t tokens, uint32_t vocab_size) {
  Require(details.size >= sizeof(details), "details that are too short");
  if (details.set & DETAILS_TIMING)
    Require(std::isfinite(details.queue_ms) && std::isfinite(details.first_token_ms) &&
                std::isfinite(details.last_token_ms) && std::isfinite(details.total_ms),
            "a time that is not finite");
  if (details.set & DETAILS_STOP_TOKEN)
    Require(AllBelow(&details.stop_token, 1, vocab_size), "a stop token that is not in its vocabulary");
  if (details.context_logits != nullptr)
    CheckLogits(*details.context_logits, 0, vocab_size, "context logits of another shape");
  if (details.generation_logits != nullptr)
    CheckLogits(*details.generation_logits, tokens, vocab_size, "generation logits of another shape");
  if (details.prompt_logprobs != nullptr && details.prompt_top_count > 0)
    Require(details.prompt_top_tokens != nullptr && details.prompt_top_logprobs != nullptr,
            "prompt logprobs without their likeliest tokens");
  Require(details.embedding_size == 0 || details.embedding != nullptr, "no embedding where it has a size");
  Require(details.additional_output_count == 0 || details.additional_outputs != nullptr,
          "no additional outputs where it counts some");
  for (uint32_t i = 0; i < details.additional_output_count; ++i) {
    Require(details.additional_outputs[i].name != nullptr, "an additional output without a name");
    CheckTensor(details.additional_outputs[i].tensor, "an additional output of an impossible shape");
  }
}

void CheckError(const ExecutorRowDetails* details) {
  const ExecutorError* const error = details == nullptr ? nullptr : details->error;
  Require(error != nullptr, "a failed request without an error");
  Require(error->code > EXECUTOR_OK && error->code <= EXECUTOR_LOAD_ABORTED, "an error with an unknown code");
  Require(EndsInside(error->field) && EndsInside(error->message), "an error whose text has no end");
}

}  // namespace

void CheckInfo(const ExecutorInfo& info) {
  Require(info.vocab_size > 0 && info.vocab_size <= std::numeric_limits<int32_t>::max(), "no vocabulary");
  for (const char* text : {info.name, info.version, info.device, info.data_type})
    Require(text != nullptr, "no name, version, device or data type");
}

void CheckBatch(const ExecutorBatch& batch, uint32_t vocab_size) {
  if (batch.row_count == 0) return;
  Require(batch.size >= sizeof(batch), "a batch that is too short");
  Require(
      batch.request_ids != nullptr && batch.sequences != nullptr && batch.finish != nullptr && batch.flags != nullptr,
      "a batch without one of its columns");
  CheckOffsets(batch.token_offsets, batch.row_count, "a batch whose tokens are not in the order of its rows");
  const uint32_t tokens = batch.token_offsets[batch.row_count];
  Require(tokens == 0 || batch.tokens != nullptr, "a batch without its tokens");
  Require(AllBelow(batch.tokens, tokens, vocab_size), "a token that is not in its vocabulary");
  if (batch.top_offsets != nullptr) {
    CheckOffsets(batch.top_offsets, tokens, "a batch whose likeliest tokens are not in the order of its tokens");
    const uint32_t tops = batch.top_offsets[tokens];
    Require(tops == 0 || (batch.top_tokens != nullptr && batch.top_logprobs != nullptr),
            "a batch without its likeliest tokens");
    Require(AllBelow(batch.top_tokens, tops, vocab_size), "a likeliest token that is not in its vocabulary");
  }
  for (uint32_t row = 0; row < batch.row_count; ++row) {
    const ExecutorRowDetails* const details = batch.details == nullptr ? nullptr : batch.details[row];
    if (details != nullptr) CheckDetails(*details, batch.token_offsets[row + 1] - batch.token_offsets[row], vocab_size);
    if (batch.finish[row] == FINISH_NONE) continue;
    Require(batch.finish[row] <= FINISH_ERROR, "an unknown reason to finish");
    if (batch.finish[row] == FINISH_ERROR) CheckError(details);
  }
}

}  // namespace executor
