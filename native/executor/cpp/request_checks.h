// C++ only: what every executor checks of a request in the same way. What is wrong is a Failure of the option.
#ifndef NODE_TENSORRT_LLM_EXECUTOR_REQUEST_CHECKS_H_
#define NODE_TENSORRT_LLM_EXECUTOR_REQUEST_CHECKS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "native/executor/cpp/failure.h"
#include "native/executor/request.h"

namespace executor {

struct SequenceCount {
  uint32_t count;
  const char* field;  // the option that asks for so many
};

// Unset: the request says nothing, and has one.
inline std::optional<SequenceCount> SequencesAskedFor(const ExecutorSampling& sampling) {
  if (sampling.set & SAMPLING_BEST_OF) return SequenceCount{sampling.best_of, "best_of"};
  if (sampling.set & SAMPLING_N) return SequenceCount{sampling.n, "n"};
  return std::nullopt;
}

inline bool WantsLogprobs(const ExecutorOutputConfig& output) {
  return output.flags & OUTPUT_LOGPROBS || output.top_logprobs > 0;
}
inline bool WantsPromptLogprobs(const ExecutorOutputConfig& output) {
  return output.flags & OUTPUT_PROMPT_LOGPROBS || output.top_prompt_logprobs > 0;
}

// The tokens of a request against a model's vocabulary.
class TokenChecks {
 public:
  explicit TokenChecks(int vocab_size) : vocab_size_(vocab_size) {}

  void Tokens(const char* field, const int32_t* tokens, uint32_t count) const {
    for (uint32_t i = 0; i < count; ++i)
      if (!Knows(tokens[i]))
        throw OptionFailure(EXECUTOR_INVALID_INPUT, field,
                            "[" + std::to_string(i) + "] is " + std::to_string(tokens[i]) + Expected());
  }
  // No option sets them: they come with the engine.
  void EndIds(const ExecutorRequest& request) const {
    for (uint32_t i = 0; i < request.end_id_count; ++i)
      if (!Knows(request.end_ids[i]))
        throw Failure(EXECUTOR_INVALID_INPUT,
                      "End id " + std::to_string(request.end_ids[i]) + " is not a token" + Expected());
  }
  void LogitBias(const ExecutorLogitBias& bias) const {
    for (uint32_t i = 0; i < bias.count; ++i) {
      const std::string token = std::to_string(bias.tokens[i]);
      if (!Knows(bias.tokens[i]))
        throw OptionFailure(EXECUTOR_INVALID_INPUT, "logit_bias", " names token " + token + Expected());
      if (!std::isfinite(bias.values[i]))
        throw OptionFailure(EXECUTOR_INVALID_OPTION, "logit_bias",
                            "[" + token + "] is " + std::to_string(bias.values[i]) + "; expected a finite number.");
    }
  }
  // The lists as vectors, each of which has a token.
  std::vector<std::vector<int32_t>> Lists(const char* field, const ExecutorTokenLists& given) const {
    std::vector<std::vector<int32_t>> lists;
    for (uint32_t i = 0; i < given.count; ++i) {
      const uint32_t begin = given.offsets[i], end = given.offsets[i + 1];
      if (end <= begin)
        throw OptionFailure(EXECUTOR_INVALID_OPTION, field,
                            "[" + std::to_string(i) + "] has no token; expected at least one.");
      Tokens(field, given.tokens + begin, end - begin);
      lists.emplace_back(given.tokens + begin, given.tokens + end);
    }
    return lists;
  }
  // bad_tokens, without those that are an end id alone. As in Hugging Face's NoBadWordsLogitsProcessor: to forbid an end is
  // what min_tokens is for.
  std::vector<std::vector<int32_t>> BadTokens(const ExecutorRequest& request) const {
    std::vector<std::vector<int32_t>> lists = Lists("bad_tokens", request.bad_tokens);
    const int32_t* const ends = request.end_ids + request.end_id_count;
    const auto is_end = [&](const std::vector<int32_t>& list) {
      return list.size() == 1 && std::find(request.end_ids, ends, list[0]) != ends;
    };
    lists.erase(std::remove_if(lists.begin(), lists.end(), is_end), lists.end());
    return lists;
  }
  // How many likeliest tokens go with each logprob.
  void TopLogprobs(const ExecutorOutputConfig& output) const {
    Top("top_logprobs", output.top_logprobs);
    Top("top_prompt_logprobs", output.top_prompt_logprobs);
  }

 private:
  bool Knows(int32_t token) const { return token >= 0 && token < vocab_size_; }
  std::string Expected() const {
    return "; expected a token id of the model, 0 to " + std::to_string(vocab_size_ - 1) + ".";
  }
  void Top(const char* field, uint32_t count) const {
    if (count <= static_cast<uint32_t>(vocab_size_)) return;
    throw OptionFailure(EXECUTOR_INVALID_OPTION, field,
                        " is " + std::to_string(count) + "; expected at most the " + std::to_string(vocab_size_) +
                            " tokens of the vocabulary.");
  }

  int vocab_size_;
};

inline Failure QueueFull(size_t would_wait, size_t max_queue_size) {
  return Failure(EXECUTOR_QUEUE_FULL, Count(would_wait, "request") + " would wait; expected at most maxQueueSize, " +
                                          std::to_string(max_queue_size) + ". Try again later, or raise maxQueueSize.")
      .About("max_queue_size");
}

inline Failure IdInUse(uint64_t id) {
  return Failure(EXECUTOR_INVALID_INPUT,
                 "Request id " + std::to_string(id) + " is still in use; expected a new one. Choose another.", id);
}

// max_tokens and min_tokens, whose limits do not depend on the model.
inline void CheckLengths(const ExecutorRequest& request, const ExecutorSampling& sampling) {
  if (request.type == REQUEST_EMBEDDING) return;
  if (request.max_tokens == 0)
    throw OptionFailure(EXECUTOR_INVALID_OPTION, "max_tokens", " is 0; expected at least 1.");
  if (sampling.set & SAMPLING_MIN_TOKENS && sampling.min_tokens > request.max_tokens)
    throw OptionFailure(EXECUTOR_INVALID_OPTION, "min_tokens",
                        " is " + std::to_string(sampling.min_tokens) + "; expected at most maxTokens, " +
                            std::to_string(request.max_tokens) + ".");
}

// Whether the sampling numbers that are set lie in their ranges.
inline void CheckSampling(const ExecutorSampling& sampling) {
  const auto check = [&](uint32_t bit, float value, bool is_valid, const char* field, const char* expected) {
    if (!(sampling.set & bit) || is_valid) return;
    throw OptionFailure(EXECUTOR_INVALID_OPTION, field,
                        " is " + std::to_string(value) + "; expected " + expected + ".");
  };
  const ExecutorSampling& s = sampling;
  check(SAMPLING_TEMPERATURE, s.temperature, s.temperature >= 0 && std::isfinite(s.temperature), "temperature",
        "a finite number, at least 0");
  check(SAMPLING_TOP_P, s.top_p, s.top_p > 0 && s.top_p <= 1, "top_p", "a number above 0 and at most 1");
  check(SAMPLING_MIN_P, s.min_p, s.min_p >= 0 && s.min_p <= 1, "min_p", "a number from 0 to 1");
  check(SAMPLING_REPETITION_PENALTY, s.repetition_penalty,
        s.repetition_penalty > 0 && std::isfinite(s.repetition_penalty), "repetition_penalty",
        "a finite number above 0");
  check(SAMPLING_PRESENCE_PENALTY, s.presence_penalty, std::isfinite(s.presence_penalty), "presence_penalty",
        "a finite number");
  check(SAMPLING_FREQUENCY_PENALTY, s.frequency_penalty, std::isfinite(s.frequency_penalty), "frequency_penalty",
        "a finite number");
}

}  // namespace executor

#endif  // NODE_TENSORRT_LLM_EXECUTOR_REQUEST_CHECKS_H_
