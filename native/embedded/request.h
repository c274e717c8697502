// One request inside the executor: what was asked, checked and copied, and how far each of its sequences is.
#ifndef EMBEDDED_REQUEST_H_
#define EMBEDDED_REQUEST_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "native/embedded/cpu/sampler.h"
#include "native/embedded/limits.h"
#include "native/embedded/scheduler.h"
#include "native/executor/cpp/failure.h"
#include "native/executor/cpp/row.h"
#include "native/executor/executor.h"

namespace embedded {

// Tokens with what was asked about them.
struct Output {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;                          // [tokens], or none
  std::vector<std::vector<TokenLogprob>> top_logprobs;  // [tokens], or none
  std::vector<float> logits;                            // [tokens, vocab_size], or none

  void Append(Output more);
};

struct Request;

// One of a request's outputs. The first computes the prompt; then the others are forked from it.
struct RequestSequence : Sequence {
  Request* request;
  uint32_t index;
  size_t generated_tokens = 0;
  Output unsent;  // what no row has yet
  bool ended = false;
};

// Its sequences point to it, so it stays where it was made.
struct Request {
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
  bool wants_prompt_logprobs;
  int prompt_top_logprobs;

  std::vector<RequestSequence> sequences;  // by index
  size_t sequences_left;                   // that have not ended
  bool cancelled = false;
  std::optional<executor::Failure> failure;             // like a cancel, it ends the request after the step
  bool has_row = false;                                 // its first row was given
  std::unique_ptr<executor::RowDetails> prompt_output;  // what was asked about the prompt, until a row takes it
  Clock::time_point submitted = Clock::now();
  std::optional<Clock::time_point> started;      // its first step
  std::optional<Clock::time_point> first_token;  // of each sequence: they are drawn together

  // Some of its sequences are in the cache; else all that have not ended wait.
  bool runs() const;
  uint32_t allocated_blocks() const;
};

// Copies a caller's request. Throws executor::Failure with the request's id: EXECUTOR_EMPTY_PROMPT,
// EXECUTOR_PROMPT_TOO_LONG, EXECUTOR_INVALID_INPUT, EXECUTOR_INVALID_OPTION, or EXECUTOR_UNSUPPORTED for what this
// executor does not do, naming the field.
std::unique_ptr<Request> MakeRequest(const ExecutorRequest& given, const Limits& limits, int vocab_size);

// What the executor's info says it can do.
constexpr uint64_t kCapabilities = CAN_MIN_P | CAN_LOGPROBS | CAN_TOP_LOGPROBS | CAN_PROMPT_LOGPROBS |
                                   CAN_CONTEXT_LOGITS | CAN_GENERATION_LOGITS | CAN_PENALTIES | CAN_NO_REPEAT_NGRAM |
                                   CAN_LOGIT_BIAS | CAN_MIN_TOKENS | CAN_STOP_TOKENS | CAN_BAD_TOKENS |
                                   CAN_SEVERAL_SEQUENCES | CAN_OUTPUT_PENALTIES;

}  // namespace embedded

#endif  // EMBEDDED_REQUEST_H_
