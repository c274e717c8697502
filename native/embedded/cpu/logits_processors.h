// What a request changes about its logits before a token is drawn from them.
#ifndef EMBEDDED_CPU_LOGITS_PROCESSORS_H_
#define EMBEDDED_CPU_LOGITS_PROCESSORS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "native/embedded/sampling.h"

namespace embedded::cpu {

// One thread's. The meaning and the order are those of the logits processors of Hugging Face's generate(): bias,
// repetition penalty, n-grams, bad words, least length. Presence and frequency penalties, which it lacks, follow the
// repetition penalty and are OpenAI's: logit - presence * (count > 0) - frequency * count.
class LogitsProcessors {
 public:
  explicit LogitsProcessors(int vocab_size) : vocab_size_(static_cast<size_t>(vocab_size)) {}

  // The processed copy of logits [vocab_size], valid until the next call; where nothing is to be done, `logits` itself.
  // A token that may not be drawn has -infinity. `mask` is that of a Guide, or null.
  const float* Apply(const float* logits, const LogitsProcessorParams& params, const std::vector<int32_t>& history,
                     const std::vector<uint32_t>* mask = nullptr);

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

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_LOGITS_PROCESSORS_H_
