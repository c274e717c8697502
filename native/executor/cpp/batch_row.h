// C++ only: one row of an ExecutorBatch, with its memory.
#ifndef NODE_TENSORRT_LLM_EXECUTOR_BATCH_ROW_H_
#define NODE_TENSORRT_LLM_EXECUTOR_BATCH_ROW_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "native/executor/cpp/logprobs.h"
#include "native/executor/response.h"

namespace executor {

struct HostTensor {
  std::vector<uint8_t> bytes;
  ExecutorTensor view;  // its data is bytes.data()
};

struct BatchRowContextPhase {
  uint64_t request_id;
  std::vector<int32_t> first_tokens;
  std::vector<int32_t> draft_tokens;
  std::vector<char> state;
};

// BatchBuilder makes the pointers of an ExecutorRowDetails from it.
struct BatchRowDetails {
  ExecutorRowDetails numbers{};            // without its pointers
  std::unique_ptr<ExecutorError> error;    // null: none
  std::vector<float> context_logits;       // [prompt_tokens, vocab_size], or none
  std::vector<float> generation_logits;    // [tokens of the row, vocab_size], or none
  std::vector<float> prompt_logprobs;      // [prompt_tokens], NaN for the first; or none
  std::vector<int32_t> prompt_top_tokens;  // [prompt_tokens, prompt_top_count], -1 for the first; or none
  std::vector<float> prompt_top_logprobs;  // likewise, NaN for the first
  std::vector<float> embedding;            // or none
  std::vector<std::pair<std::string, HostTensor>> additional_outputs;
  std::optional<BatchRowContextPhase> context_phase;
};

struct BatchRow {
  uint64_t request_id = 0;
  uint32_t sequence = 0;
  ExecutorFinish finish = FINISH_NONE;
  uint8_t flags = 0;  // ROW_*
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;                          // [tokens], or none
  std::vector<std::vector<TokenLogprob>> top_logprobs;  // [tokens], or none
  std::unique_ptr<BatchRowDetails> details;             // null: none
};

// The row's details, made where it has none.
inline BatchRowDetails* DetailsOf(BatchRow* row) {
  if (row->details == nullptr) row->details = std::make_unique<BatchRowDetails>();
  return row->details.get();
}

}  // namespace executor

#endif  // NODE_TENSORRT_LLM_EXECUTOR_BATCH_ROW_H_
