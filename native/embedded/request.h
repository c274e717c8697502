// One request inside the executor: what was asked, checked and copied, and how far it is.
#ifndef EMBEDDED_REQUEST_H_
#define EMBEDDED_REQUEST_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "embedded/limits.h"
#include "embedded/sampler.h"
#include "embedded/scheduler.h"
#include "executor/executor.h"

namespace embedded {

// Tokens with what was asked about them.
struct Output {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;                          // [tokens], or none
  std::vector<std::vector<TokenLogprob>> top_logprobs;  // [tokens], or none
  std::vector<float> logits;                            // [tokens, vocab_size], or none

  void Append(Output more);
};

struct Request : Sequence {
  using Clock = std::chrono::steady_clock;

  uint64_t id;
  size_t prompt_tokens;
  size_t max_tokens;
  bool streaming;
  SamplingParams sampling;
  std::vector<int32_t> end_ids;
  std::vector<std::vector<int32_t>> stop_words;
  bool logprobs;
  int top_logprobs;
  bool wants_context_logits;
  bool wants_generation_logits;

  bool cancelled = false;
  bool has_row = false;               // its first row was given
  std::vector<float> context_logits;  // [prompt_tokens, vocab_size] until the first row takes them
  Output unsent;                      // what no row has yet
  Clock::time_point submitted = Clock::now();
  std::optional<Clock::time_point> started;  // its first step
  std::optional<Clock::time_point> first_token;

  size_t generated_tokens() const { return tokens.size() - prompt_tokens; }
};

// Copies a caller's request. Throws executor::Failure with the request's id: EXECUTOR_EMPTY_PROMPT,
// EXECUTOR_PROMPT_TOO_LONG, EXECUTOR_INVALID_INPUT, EXECUTOR_INVALID_OPTION, or EXECUTOR_UNSUPPORTED for what this
// executor does not do, naming the field.
Request MakeRequest(const ExecutorRequest& given, const Limits& limits, int vocab_size);

// What the executor's info says it can do.
constexpr uint64_t kCapabilities =
    CAN_MIN_P | CAN_LOGPROBS | CAN_TOP_LOGPROBS | CAN_CONTEXT_LOGITS | CAN_GENERATION_LOGITS | CAN_STOP_TOKENS;

}  // namespace embedded

#endif  // EMBEDDED_REQUEST_H_
