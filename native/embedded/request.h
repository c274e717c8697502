// One request inside the executor: what was asked, checked and copied, and how far each of its sequences is.
#ifndef EMBEDDED_REQUEST_H_
#define EMBEDDED_REQUEST_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "native/embedded/adapter.h"
#include "native/embedded/drafts.h"
#include "native/embedded/guides.h"
#include "native/embedded/limits.h"
#include "native/embedded/sampling.h"
#include "native/embedded/scheduler.h"
#include "native/executor/cpp/batch_row.h"
#include "native/executor/cpp/failure.h"
#include "native/executor/executor.h"

namespace embedded {

using executor::TokenLogprob;

// Tokens with what was asked about them.
struct Output {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;                          // [tokens], or none
  std::vector<std::vector<TokenLogprob>> top_logprobs;  // [tokens], or none
  std::vector<float> logits;                            // [tokens, vocab_size], or none

  void Append(Output more);
};

struct Request;
class Beams;
using RequestDeadlines = std::multimap<std::chrono::steady_clock::time_point, Request*>;

// One of a request's outputs. The first computes the prompt; then the others are forked from it.
struct RequestSequence : Sequence {
  Request* request;
  uint32_t index;
  size_t generated_tokens = 0;
  size_t counted_tokens = 0;     // of those, by the statistics
  size_t decode_steps = 0;       // that drew for it
  std::shared_ptr<Guide> guide;  // of a guided request, once its grammar is compiled
  size_t guided_tokens = 0;      // generated ones that the guide has heard of
  Output unsent;                 // what no row has yet
  std::optional<Drafts> drafts;  // where its request wants any
  bool ended = false;
};

// Its sequences point to it, so it stays where it was made.
struct Request : std::enable_shared_from_this<Request> {
  using Clock = std::chrono::steady_clock;

  uint64_t id;
  size_t prompt_tokens;
  size_t max_tokens;
  bool streaming;
  SamplingParams sampling;
  DraftParams drafts;
  std::vector<int32_t> end_ids;
  std::vector<std::vector<int32_t>> stop_tokens;
  bool logprobs;
  int top_logprobs;
  bool wants_context_logits;
  bool wants_generation_logits;
  bool wants_prompt_logprobs;
  int prompt_top_logprobs;
  size_t prompt_logprobs_start;            // the first token that has one
  size_t prompt_output_start;              // the first token whose logits something was asked about
  std::optional<ExecutorPooling> pooling;  // of an embedding request

  std::vector<RequestSequence> sequences;   // by index
  size_t outputs;                           // of the first of them; of a beam search, of its best beams
  size_t sequences_left;                    // that have not ended, of those with outputs
  std::shared_ptr<Beams> beams;             // of a beam search
  int beam_candidates = 0;                  // likely tokens that a beam search wants to know of each beam
  std::shared_ptr<const Adapter> adapter;   // LoRA, of the cache, until the request has ended; null: none
  std::optional<Guides::Grammar> grammar;   // that its outputs follow
  std::optional<ReasoningMarks> reasoning;  // behind which they follow it
  bool is_compiling = false;                // the grammar; until it is, the scheduler does not have the request
  bool cancelled = false;
  std::optional<executor::Failure> failure;  // like a cancel, it ends the request before the next step is planned
  bool has_row = false;                      // its first row was given
  uint32_t draft_tokens = 0;                 // that steps verified
  uint32_t draft_tokens_accepted = 0;
  // What was asked about the prompt, its embedding too, until a row takes it. The runner fills it.
  std::shared_ptr<executor::BatchRowDetails> prompt_output;
  Clock::time_point submitted = Clock::now();
  std::optional<Clock::time_point> deadline;
  std::optional<RequestDeadlines::iterator> deadline_at;  // its place among the deadlines, which they keep
  std::optional<Clock::time_point> started;               // its first step
  std::optional<Clock::time_point> first_token;           // of each sequence: they are drawn together
  std::optional<Clock::time_point> last_token;            // of any

  // How the token ends an output of which `before` are the prompt and the tokens so far; FINISH_NONE: it does not.
  ExecutorFinish FinishOf(const std::vector<int32_t>& before, int32_t token) const;
  // Some of its sequences are in the cache; else all that have not ended wait.
  bool runs() const;
  bool ended() const { return sequences_left == 0; }
  uint32_t allocated_blocks() const;
  // The entry, of one of its sequences, computes tokens of the prompt that something was asked about. After its first
  // token a sequence that was preempted goes through the prompt again.
  bool WantsPromptOutput(const StepEntry& entry) const {
    return (wants_context_logits || wants_prompt_logprobs) && !first_token && entry.first < prompt_tokens &&
           entry.first + static_cast<size_t>(entry.tokens) > prompt_output_start;
  }
};

// The scheduler's sequences are those of requests.
inline RequestSequence* SequenceOf(const StepEntry& entry) { return static_cast<RequestSequence*>(entry.sequence); }

// The tokens before a draw of the entry: all of its sequence, and so many of the entry's drafts.
std::vector<int32_t> HistoryOf(const StepEntry& entry, size_t drafts);

// Copies a caller's request. Throws executor::Failure with the request's id: EXECUTOR_EMPTY_PROMPT,
// EXECUTOR_PROMPT_TOO_LONG, EXECUTOR_INVALID_INPUT, EXECUTOR_INVALID_OPTION, or EXECUTOR_UNSUPPORTED for what this
// executor does not do, naming the field.
std::shared_ptr<Request> MakeRequest(const ExecutorRequest& given, const Limits& limits, int vocab_size);

}  // namespace embedded

#endif  // EMBEDDED_REQUEST_H_
