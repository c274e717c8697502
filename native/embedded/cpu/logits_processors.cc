#include "native/embedded/cpu/logits_processors.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace embedded::cpu {
namespace {

constexpr float kForbidden = -std::numeric_limits<float>::infinity();

}  // namespace

const float* LogitsProcessors::Apply(const float* logits, const LogitsProcessorParams& params,
                                     const std::vector<int32_t>& history, const std::vector<uint32_t>* mask) {
  if (params.none()) return logits;
  logits_.assign(logits, logits + vocab_size_);
  counts_.resize(vocab_size_);
  for (const TokenBias& bias : params.bias) LogitOf(bias.token) += bias.value;
  if (params.repetition_penalty != 1) ApplyRepetitionPenalty(params.repetition_penalty, history);
  if (params.presence_penalty != 0 || params.frequency_penalty != 0) ApplyCountPenalties(params, history);
  if (params.no_repeat_ngram > 0) ForbidRepeatedNgrams(params.no_repeat_ngram, history);
  for (const auto& word : params.bad_words) ForbidCompleting(word, history);
  if (history.size() < params.min_length)
    for (const int32_t token : params.end_ids) LogitOf(token) = kForbidden;
  if (mask != nullptr)
    for (size_t token = 0; token < vocab_size_; ++token)
      if (((*mask)[token / 32] >> token % 32 & 1) == 0) logits_[token] = kForbidden;
  return logits_.data();
}

void LogitsProcessors::ApplyRepetitionPenalty(float penalty, const std::vector<int32_t>& history) {
  for (const int32_t token : history) {
    if (CountOf(token)++ > 0) continue;
    float& logit = LogitOf(token);
    logit = logit > 0 ? logit / penalty : logit * penalty;
  }
  for (const int32_t token : history) CountOf(token) = 0;
}

void LogitsProcessors::ApplyCountPenalties(const LogitsProcessorParams& params, const std::vector<int32_t>& history) {
  for (size_t i = params.penalized_from; i < history.size(); ++i) ++CountOf(history[i]);
  for (size_t i = params.penalized_from; i < history.size(); ++i) {
    const uint32_t count = std::exchange(CountOf(history[i]), 0);
    if (count > 0)
      LogitOf(history[i]) -= params.presence_penalty + params.frequency_penalty * static_cast<float>(count);
  }
}

void LogitsProcessors::ForbidRepeatedNgrams(size_t n, const std::vector<int32_t>& history) {
  if (history.size() < n) return;
  const auto prefix = history.end() - (n - 1);  // what the next token would complete
  for (auto last = history.begin() + (n - 1); last != history.end(); ++last)
    if (std::equal(prefix, history.end(), last - (n - 1))) LogitOf(*last) = kForbidden;
}

void LogitsProcessors::ForbidCompleting(const std::vector<int32_t>& word, const std::vector<int32_t>& history) {
  const size_t prefix = word.size() - 1;
  if (prefix <= history.size() && std::equal(word.begin(), word.end() - 1, history.end() - prefix))
    LogitOf(word.back()) = kForbidden;
}

}  // namespace embedded::cpu
