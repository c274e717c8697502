// What a request changes about its logits before a token is drawn from them.
#ifndef EMBEDDED_LOGITS_PROCESSORS_H_
#define EMBEDDED_LOGITS_PROCESSORS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace embedded {

struct TokenBias {
  int32_t token;
  float value;  // finite
};

// "History" is a sequence's tokens so far, the prompt included. Every token is one of the vocabulary.
struct LogitsProcessorParams {
  std::vector<TokenBias> bias;   // added
  float repetition_penalty = 1;  // of tokens in the history: divides a positive logit, multiplies a negative one
  float presence_penalty = 0;    // subtracted where a token is in the history from penalized_from on
  float frequency_penalty = 0;   // likewise, as often as it is there
  size_t penalized_from = 0;     // index
  size_t no_repeat_ngram = 0;    // tokens; no run of so many comes twice; 0: any may
  size_t min_length = 0;         // tokens of history before one of end_ids may be drawn
  std::vector<int32_t> end_ids;  // used with min_length
  std::vector<std::vector<int32_t>> bad_words;  // runs, none of them empty, that are never completed

  bool none() const {
    return bias.empty() && repetition_penalty == 1 && presence_penalty == 0 && frequency_penalty == 0 &&
           no_repeat_ngram == 0 && min_length == 0 && bad_words.empty();
  }
};

// One thread's. The meaning and the order are those of the logits processors of Hugging Face's generate(): bias,
// repetition penalty, n-grams, bad words, least length. Presence and frequency penalties, which it lacks, follow the
// repetition penalty and are OpenAI's: logit - presence * (count > 0) - frequency * count.
class LogitsProcessors {
 public:
  explicit LogitsProcessors(int vocab_size) : vocab_size_(static_cast<size_t>(vocab_size)) {}

  // The processed copy of logits [vocab_size], valid until the next call; where nothing is to be done, `logits` itself.
  // A token that may not be drawn has -infinity.
  const float* Apply(const float* logits, const LogitsProcessorParams& params, const std::vector<int32_t>& history);

 private:
  void ApplyRepetitionPenalty(float penalty, const std::vector<int32_t>& history);
  void ApplyCountPenalties(const LogitsProcessorParams& params, const std::vector<int32_t>& history);
  void ForbidRepeatedNgrams(size_t n, const std::vector<int32_t>& history);
  void ForbidCompleting(const std::vector<int32_t>& word, const std::vector<int32_t>& history);
  float& LogitOf(int32_t token) { return logits_[static_cast<size_t>(token)]; }
  uint32_t& CountOf(int32_t token) { return counts_[static_cast<size_t>(token)]; }

  size_t vocab_size_;
  std::vector<float> logits_;     // [vocab_size] from the first request on that needs it
  std::vector<uint32_t> counts_;  // likewise; all 0 between calls
};

}  // namespace embedded

#endif  // EMBEDDED_LOGITS_PROCESSORS_H_
