// One row of an ExecutorBatch, with its memory.
#ifndef ADAPTER_ROW_H_
#define ADAPTER_ROW_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "executor/response.h"
#include "tensorrt_llm/logprobs.h"
#include "tensorrt_llm/tensors.h"

namespace adapter {

struct RowContextPhase {
  uint64_t request_id;
  std::vector<int32_t> first_tokens;
  std::vector<int32_t> draft_tokens;
  std::vector<char> state;
};

// Outbox makes the pointers of an ExecutorRowDetails from it.
struct RowDetails {
  ExecutorRowDetails numbers{};  // without its pointers
  std::optional<ExecutorError> error;
  std::vector<float> context_logits;       // [prompt_tokens, vocab_size], or none
  std::vector<float> generation_logits;    // [tokens of the row, vocab_size], or none
  std::vector<float> prompt_logprobs;      // [prompt_tokens], or none
  std::vector<int32_t> prompt_top_tokens;  // [prompt_tokens, prompt_top_count]
  std::vector<float> prompt_top_logprobs;  // likewise
  std::vector<std::pair<std::string, HostTensor>> additional_outputs;
  std::optional<RowContextPhase> context_phase;
};

struct Row {
  uint64_t request_id = 0;
  uint32_t sequence = 0;
  ExecutorFinish finish = FINISH_NONE;
  uint8_t flags = 0;  // ROW_*
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;                          // [tokens], or none
  std::vector<std::vector<TokenLogprob>> top_logprobs;  // [tokens], or none
  std::unique_ptr<RowDetails> details;                  // null: none
};

}  // namespace adapter

#endif  // ADAPTER_ROW_H_
