#include "native/embedded/request.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <random>
#include <string>

#include "native/embedded/beams.h"
#include "native/embedded/refuse.h"
#include "native/executor/cpp/copy_sized.h"
#include "native/executor/cpp/request_checks.h"

namespace embedded {
namespace {

using executor::Failure;

constexpr uint64_t kLongestRetentionMs = 1'000ull * 60 * 60 * 24 * 365 * 100;  // so that no point in time overflows

class Checker {
 public:
  Checker(const ExecutorRequest& given, const Limits& limits, int vocab_size)
      : given_(given),
        sampling_(executor::CopySized(given.sampling)),
        output_(executor::CopySized(given.output)),
        limits_(limits),
        vocab_size_(vocab_size),
        tokens_(vocab_size) {}

  std::shared_ptr<Request> Make() const {
    RefuseUnsupported();
    CheckPrompt();
    tokens_.TopLogprobs(output_);
    auto made = std::make_shared<Request>();
    Request& request = *made;
    request.id = given_.id;
    request.prompt_tokens = given_.token_count;
    if (given_.type == REQUEST_EMBEDDING) return MakeEmbedding(std::move(made));
    request.max_tokens = std::min<size_t>(given_.max_tokens, limits_.max_seq_len - given_.token_count);
    request.streaming = given_.streaming != 0;
    request.sampling = Sampling();
    request.drafts = Drafting();
    tokens_.EndIds(given_);
    request.end_ids.assign(given_.end_ids, given_.end_ids + given_.end_id_count);
    request.stop_tokens = tokens_.Lists("stop_tokens", given_.stop_tokens);
    request.top_logprobs = static_cast<int>(output_.top_logprobs);
    request.logprobs = executor::WantsLogprobs(output_);
    request.wants_context_logits = output_.flags & OUTPUT_RETURN_CONTEXT_LOGITS;
    request.wants_generation_logits = output_.flags & OUTPUT_RETURN_GENERATION_LOGITS;
    request.wants_prompt_logprobs = executor::WantsPromptLogprobs(output_);
    request.prompt_top_logprobs = static_cast<int>(output_.top_prompt_logprobs);
    const uint32_t asked_start = output_.flags & OUTPUT_PROMPT_LOGPROBS_START ? output_.prompt_logprobs_start : 0;
    request.prompt_logprobs_start = std::clamp(asked_start, 1u, given_.token_count);
    // A token's logprob is of the logits before it.
    request.prompt_output_start = request.wants_context_logits ? 0 : request.prompt_logprobs_start - 1;
    if (BeamWidthOf(sampling_) == 1)
      request.sequences.resize(request.outputs = SequenceCount());
    else
      MakeBeams(given_, sampling_, limits_, vocab_size_, made.get());
    SetUpSequences(&request);
    for (RequestSequence& sequence : request.sequences) {
      if (request.wants_context_logits || request.wants_prompt_logprobs)
        sequence.most_kept_tokens = request.prompt_output_start;
      if (request.beams == nullptr) continue;
      sequence.leader = &request.sequences.front();
      sequence.restart_length = request.prompt_tokens;
    }
    if (given_.guided != nullptr) request.grammar = Grammar();
    if (given_.reasoning != nullptr) request.reasoning = Reasoning();
    request.sampling.processors.is_guided = request.grammar.has_value();
    // A grammar's masks are computed token by token, and beams move token by token.
    if (!request.drafts.none() && !request.grammar && request.beams == nullptr)
      for (RequestSequence& sequence : request.sequences) sequence.drafts.emplace(request.drafts);
    return made;
  }

 private:
  std::shared_ptr<Request> MakeEmbedding(std::shared_ptr<Request> request) const {
    if (output_.pooling > POOLING_CLS)
      throw executor::OptionFailure(EXECUTOR_INVALID_OPTION, "pooling",
                                    " is " + std::to_string(output_.pooling) + "; expected 0 to 2.");
    request->pooling = output_.pooling;
    request->streaming = given_.streaming != 0;
    request->max_tokens = 1;  // the place after the prompt, which stays empty
    request->sequences.resize(request->outputs = 1);
    SetUpSequences(request.get());
    RequestSequence& sequence = request->sequences.front();
    sequence.draws = false;
    if (output_.pooling != POOLING_LAST) sequence.most_kept_tokens = 0;
    return request;
  }

  // Of a request that has its lengths.
  void SetUpSequences(Request* request) const {
    request->sequences_left = request->outputs;
    const RetentionPlan retention = Retentions();
    for (uint32_t i = 0; i < request->sequences.size(); ++i) {
      RequestSequence& sequence = request->sequences[i];
      sequence.request = request;
      sequence.index = i;
      sequence.max_length = request->prompt_tokens + request->max_tokens;
      if (given_.set & REQUEST_PRIORITY) sequence.priority = Priority();
      if (given_.set & REQUEST_CACHE_SALT) sequence.root_key = RootKey(given_.cache_salt);
      sequence.retention = retention;
    }
    RequestSequence& first = request->sequences.front();
    first.tokens.assign(given_.tokens, given_.tokens + given_.token_count);
    for (size_t i = 1; i < request->sequences.size(); ++i) first.forks.push_back(&request->sequences[i]);
    request->submitted = Request::Clock::now();
    if (given_.set & REQUEST_TIMEOUT)
      request->deadline = request->submitted + std::chrono::milliseconds(given_.timeout_ms);
  }

  void RefuseUnsupported() const {
    const auto refuse_set = [&](uint32_t is_set, const char* name) {
      if (is_set) RefuseOption(name);
    };
    refuse_set(given_.set & REQUEST_LANGUAGE_ADAPTER, "language_adapter");
    if (given_.type != REQUEST_CONTEXT_AND_GENERATION && given_.type != REQUEST_EMBEDDING) RefuseOption("type");
    const struct {
      const void* given;
      const char* name;
    } groups[] = {{given_.position_ids, "position_ids"},
                  {given_.lookahead, "lookahead"},
                  {given_.eagle, "eagle"},
                  {given_.multimodal, "multimodal"},
                  {given_.context_phase, "context_phase"}};
    for (const auto& group : groups)
      if (group.given != nullptr) RefuseOption(group.name);
    if (output_.additional_output_count > 0) RefuseOption("additional_outputs");
    if (given_.lora != nullptr && !limits_.adapters)
      throw Failure(EXECUTOR_UNSUPPORTED,
                    "lora is set, but the engine was loaded without peftCache; expected it with peftCache: {}.")
          .About("lora");

    // A neutral value, which changes nothing, may be set.
    const auto refuse_unless = [&](uint32_t bit, bool neutral, const char* name) {
      if (sampling_.set & bit && !neutral) RefuseOption(name);
    };
    refuse_unless(SAMPLING_BEAM_DIVERSITY_RATE, sampling_.beam_diversity_rate == 0, "beam_diversity_rate");
    refuse_set(sampling_.set & SAMPLING_TOP_P_MIN, "top_p_min");
    refuse_set(sampling_.set & SAMPLING_TOP_P_RESET_TOKEN, "top_p_reset_token");
    refuse_unless(SAMPLING_TOP_P_DECAY, sampling_.top_p_decay == 1, "top_p_decay");
    if (sampling_.beam_width_count > 0) RefuseOption("beam_widths");
  }

  void CheckPrompt() const {
    if (given_.token_count == 0)
      throw Failure(EXECUTOR_EMPTY_PROMPT, "The prompt has no token; expected at least one.");
    const uint32_t longest = static_cast<uint32_t>(std::min(limits_.max_input_len, limits_.max_seq_len - 1));
    if (given_.token_count > longest)
      throw Failure(EXECUTOR_PROMPT_TOO_LONG,
                    "The prompt has " + std::to_string(given_.token_count) + " tokens; expected at most " +
                        std::to_string(longest) + " (maxSeqLen is " + std::to_string(limits_.max_seq_len) +
                        ", and one new token must fit). Shorten it, or raise maxSeqLen and kvCache.maxTokens up to "
                        "what the engine was converted for.");
    tokens_.Tokens("tokens", given_.tokens, given_.token_count);
    executor::CheckLengths(given_, sampling_);
  }

  size_t SequenceCount() const {
    const auto asked_for = executor::SequencesAskedFor(sampling_);
    if (!asked_for) return 1;
    if (asked_for->count < 1 || asked_for->count > static_cast<uint32_t>(limits_.max_batch_size))
      throw executor::OptionFailure(
          EXECUTOR_INVALID_OPTION, asked_for->field,
          " is " + std::to_string(asked_for->count) + "; expected 1 to maxBatchSize, " +
              std::to_string(limits_.max_batch_size) +
              ", because the sequences of a request run together. Ask for fewer, or load the engine with a larger "
              "maxBatchSize.");
    return asked_for->count;
  }

  SamplingParams Sampling() const {
    executor::CheckSampling(sampling_);
    SamplingParams params;
    if (sampling_.set & SAMPLING_TEMPERATURE) params.temperature = sampling_.temperature;
    if (sampling_.set & SAMPLING_TOP_K)
      params.top_k = static_cast<int>(std::min<uint32_t>(sampling_.top_k, static_cast<uint32_t>(vocab_size_)));
    if (sampling_.set & SAMPLING_TOP_P) params.top_p = sampling_.top_p;
    if (sampling_.set & SAMPLING_MIN_P) params.min_p = sampling_.min_p;
    std::random_device device;
    params.seed = sampling_.set & SAMPLING_SEED ? sampling_.seed : uint64_t{device()} << 32 | device();
    params.processors = Processors();
    return params;
  }

  LogitsProcessorParams Processors() const {
    LogitsProcessorParams params;
    tokens_.LogitBias(given_.logit_bias);
    for (uint32_t i = 0; i < given_.logit_bias.count; ++i)
      params.bias.push_back({given_.logit_bias.tokens[i], given_.logit_bias.values[i]});
    if (sampling_.set & SAMPLING_REPETITION_PENALTY) params.repetition_penalty = sampling_.repetition_penalty;
    if (sampling_.set & SAMPLING_PRESENCE_PENALTY) params.presence_penalty = sampling_.presence_penalty;
    if (sampling_.set & SAMPLING_FREQUENCY_PENALTY) params.frequency_penalty = sampling_.frequency_penalty;
    if (sampling_.set & SAMPLING_PROMPT_IGNORE_LENGTH)
      params.penalized_from = std::min(sampling_.prompt_ignore_length, given_.token_count);
    if (sampling_.set & SAMPLING_NO_REPEAT_NGRAM_SIZE) params.no_repeat_ngram = sampling_.no_repeat_ngram_size;
    if (sampling_.set & SAMPLING_MIN_TOKENS && sampling_.min_tokens > 0) {
      params.min_length = size_t{given_.token_count} + sampling_.min_tokens;
      params.end_ids.assign(given_.end_ids, given_.end_ids + given_.end_id_count);  // Make checks them
    }
    params.bad_words = tokens_.BadTokens(given_);
    return params;
  }

  DraftParams Drafting() const {
    DraftParams params;
    params.prompt_lookup = limits_.prompt_lookup;
    if (given_.set & REQUEST_PROMPT_LOOKUP) {
      if (given_.prompt_lookup == 0)
        params.prompt_lookup.reset();
      else if (!params.prompt_lookup)
        params.prompt_lookup.emplace();
    }
    params.model_tokens = limits_.draft_model_tokens;
    if (given_.set & REQUEST_DRAFT_MODEL) {
      if (given_.draft_model == 0)
        params.model_tokens = 0;
      else if (params.model_tokens == 0)
        throw executor::OptionFailure(EXECUTOR_UNSUPPORTED, "draft_model",
                                      " is true; expected false or unset, because the engine was loaded without a "
                                      "draft model. Load it with decoding.draftModel, or remove draftModel.");
    }
    if (given_.draft == nullptr) return params;
    const ExecutorDraft draft = executor::CopySized(given_.draft);
    // A draft token is accepted where the same token is drawn, whatever the other model thought of it.
    if (draft.logits != nullptr) RefuseOption("draft.logits");
    if (draft.has_acceptance_threshold) RefuseOption("draft.acceptance_threshold");
    if (draft.fast_logits != 0) RefuseOption("draft.fast_logits");
    tokens_.Tokens("draft.tokens", draft.tokens, draft.token_count);
    params.tokens.assign(draft.tokens, draft.tokens + draft.token_count);
    return params;
  }

  ReasoningMarks Reasoning() const {
    const ExecutorReasoning reasoning = executor::CopySized(given_.reasoning);
    tokens_.Tokens("reasoning.begins", reasoning.begins, reasoning.begin_count);
    if (reasoning.end_count == 0)
      throw executor::OptionFailure(EXECUTOR_INVALID_OPTION, "reasoning.ends",
                                    " is empty; expected at least one text.");
    return {{reasoning.begins, reasoning.begins + reasoning.begin_count},
            {reasoning.ends, reasoning.ends + reasoning.end_count}};
  }

  float Priority() const {
    if (!(given_.priority >= 0 && given_.priority <= 1))  // not a number, too
      throw executor::OptionFailure(EXECUTOR_INVALID_OPTION, "priority",
                                    " is " + std::to_string(given_.priority) + "; expected 0 to 1.");
    return given_.priority;
  }

  Guides::Grammar Grammar() const {
    if (!limits_.is_guided)
      throw Failure(EXECUTOR_UNSUPPORTED,
                    "guided is set, but the engine was loaded without guidedDecoding; expected it with "
                    "guidedDecoding: 'llguidance'.")
          .About("guided");
    if (given_.end_id_count == 0)
      throw Failure(EXECUTOR_INVALID_OPTION,
                    "guided is set together with ignoreEos; expected end tokens, with which the output says that it is "
                    "complete. Remove ignoreEos.")
          .About("guided");
    const char* const guide = given_.guided->guide;
    if (guide == nullptr && given_.guided->kind != GUIDE_JSON)
      throw executor::OptionFailure(EXECUTOR_INVALID_OPTION, "guided", " has no text; expected a grammar.");
    return {given_.guided->kind, guide == nullptr ? "" : guide};
  }

  RetentionPlan Retentions() const {
    RetentionPlan plan;
    if (given_.kv_retention == nullptr) return plan;
    const ExecutorKvRetention kv = executor::CopySized(given_.kv_retention);
    if (kv.set & KV_RETENTION_TRANSFER_MODE && kv.transfer_mode != TRANSFER_DRAM)
      RefuseValue("kv_retention.transfer_mode", kv.transfer_mode == TRANSFER_GDS ? "'gds'" : "'posix'", "'dram'");
    if (kv.directory != nullptr) RefuseOption("kv_retention.directory");
    const auto retention = [](const std::string& field, uint32_t priority, std::optional<uint64_t> duration_ms) {
      if (priority > kHighestPriority)
        throw executor::OptionFailure(EXECUTOR_INVALID_OPTION, field,
                                      " is " + std::to_string(priority) + "; expected 0 to 100.");
      Retention made{static_cast<int>(priority), std::nullopt};
      if (duration_ms) made.duration.emplace(std::min<uint64_t>(*duration_ms, kLongestRetentionMs));
      return made;
    };
    for (uint32_t i = 0; i < kv.range_count; ++i) {
      const ExecutorRetentionRange& range = kv.ranges[i];
      const uint32_t end = range.set & RETENTION_END ? std::min(range.end, given_.token_count) : given_.token_count;
      plan.ranges.push_back(
          {range.start, end,
           retention("kv_retention.ranges[" + std::to_string(i) + "].priority", range.priority,
                     range.set & RETENTION_DURATION ? std::optional(range.duration_ms) : std::nullopt)});
    }
    if (kv.set & KV_RETENTION_DECODE_PRIORITY)
      plan.ranges.push_back(
          {given_.token_count, std::numeric_limits<size_t>::max(),
           retention("kv_retention.decode_priority", kv.decode_priority,
                     kv.set & KV_RETENTION_DECODE_DURATION ? std::optional(kv.decode_duration_ms) : std::nullopt)});
    return plan;
  }

  const ExecutorRequest& given_;
  const ExecutorSampling sampling_;
  const ExecutorOutputConfig output_;
  const Limits& limits_;
  int vocab_size_;
  executor::TokenChecks tokens_;
};

}  // namespace

void Output::Append(Output more) {
  tokens.insert(tokens.end(), more.tokens.begin(), more.tokens.end());
  logprobs.insert(logprobs.end(), more.logprobs.begin(), more.logprobs.end());
  std::move(more.top_logprobs.begin(), more.top_logprobs.end(), std::back_inserter(top_logprobs));
  logits.insert(logits.end(), more.logits.begin(), more.logits.end());
}

ExecutorFinish Request::FinishOf(const std::vector<int32_t>& before, int32_t token) const {
  if (std::find(end_ids.begin(), end_ids.end(), token) != end_ids.end()) return FINISH_END_ID;
  const size_t generated = before.size() - prompt_tokens;
  const auto ends_with = [&](const std::vector<int32_t>& word) {
    return word.back() == token && word.size() - 1 <= generated &&
           std::equal(word.begin(), word.end() - 1, before.end() - static_cast<std::ptrdiff_t>(word.size() - 1));
  };
  if (std::any_of(stop_tokens.begin(), stop_tokens.end(), ends_with)) return FINISH_STOP_TOKENS;
  return generated + 1 == max_tokens ? FINISH_LENGTH : FINISH_NONE;
}

bool Request::runs() const {
  return std::any_of(sequences.begin(), sequences.end(),
                     [](const RequestSequence& sequence) { return !sequence.block_table.empty(); });
}

uint32_t Request::allocated_blocks() const {
  size_t blocks = 0;
  for (const RequestSequence& sequence : sequences) blocks += sequence.allocated_blocks;
  return static_cast<uint32_t>(blocks);
}

std::vector<int32_t> HistoryOf(const StepEntry& entry, size_t drafts) {
  std::vector<int32_t> history = entry.sequence->tokens;
  history.insert(history.end(), entry.drafts.begin(), entry.drafts.begin() + static_cast<std::ptrdiff_t>(drafts));
  return history;
}

std::shared_ptr<Request> MakeRequest(const ExecutorRequest& given, const Limits& limits, int vocab_size) {
  try {
    return Checker(given, limits, vocab_size).Make();
  } catch (const Failure& failure) {
    throw Failure(failure).OfRequest(given.id);
  }
}

}  // namespace embedded
