// How a request's tokens are drawn, whatever device draws them.
#ifndef EMBEDDED_SAMPLING_H_
#define EMBEDDED_SAMPLING_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace embedded {

struct TokenBias {
  int32_t token;
  float value;  // finite
};

// What a request changes about its logits before a token is drawn from them. "History" is a sequence's tokens so far,
// the prompt included. Every token is one of the vocabulary.
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
  bool is_guided = false;  // the sequence's Guide says which tokens may come, which is applied last

  bool none() const { return bias.empty() && min_length == 0 && !needs_history() && !is_guided; }
  // The newest tokens have to be known, not only how many there are.
  bool needs_history() const {
    return repetition_penalty != 1 || presence_penalty != 0 || frequency_penalty != 0 || no_repeat_ngram != 0 ||
           !bad_words.empty();
  }
};

struct SamplingParams {
  float temperature = 1;  // 0: the likeliest token
  int top_k = 0;          // 0: all tokens
  float top_p = 1;
  float min_p = 0;
  uint64_t seed = 0;
  LogitsProcessorParams processors;  // applied before all of these
};

}  // namespace embedded

#endif  // EMBEDDED_SAMPLING_H_
