// What a case of the goldens in test/goldens/logits-processors asks for, as a request.
#ifndef TEST_EMBEDDED_GOLDEN_REQUEST_H_
#define TEST_EMBEDDED_GOLDEN_REQUEST_H_

#include <gtest/gtest.h>
#include <simdjson.h>

#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "asked_request.h"

namespace embedded {

using simdjson::dom::element;

inline int32_t Token(const element& token) { return static_cast<int32_t>(token.get_int64()); }

inline std::vector<int32_t> Tokens(const element& given) {
  std::vector<int32_t> tokens;
  for (const element token : given.get_array()) tokens.push_back(Token(token));
  return tokens;
}

inline std::vector<float> Logits(const element& given) {  // null is -infinity
  std::vector<float> logits;
  for (const element logit : given.get_array())
    logits.push_back(logit.is_null() ? -std::numeric_limits<float>::infinity()
                                     : static_cast<float>(logit.get_double()));
  return logits;
}

// "asked" of a golden: fields by their names in native/executor/request.h.
inline void Ask(const element& asked, AskedRequest* r) {
  ExecutorSampling& sampling = r->sampling;
  for (const auto& [name, value] : asked.get_object()) {
    const auto number = [&, value = value](uint32_t bit, auto* field) {
      sampling.set |= bit;
      *field = static_cast<std::remove_pointer_t<decltype(field)>>(value.get_double());
    };
    if (name == "repetition_penalty")
      number(SAMPLING_REPETITION_PENALTY, &sampling.repetition_penalty);
    else if (name == "presence_penalty")
      number(SAMPLING_PRESENCE_PENALTY, &sampling.presence_penalty);
    else if (name == "frequency_penalty")
      number(SAMPLING_FREQUENCY_PENALTY, &sampling.frequency_penalty);
    else if (name == "prompt_ignore_length")
      number(SAMPLING_PROMPT_IGNORE_LENGTH, &sampling.prompt_ignore_length);
    else if (name == "no_repeat_ngram")
      number(SAMPLING_NO_REPEAT_NGRAM_SIZE, &sampling.no_repeat_ngram_size);
    else if (name == "min_tokens")
      number(SAMPLING_MIN_TOKENS, &sampling.min_tokens);
    else if (name == "bias_tokens")
      r->bias_tokens = Tokens(value);
    else if (name == "bias_values")
      r->bias_values = Logits(value);
    else if (name == "end_ids")
      r->end_ids = Tokens(value);
    else if (name == "bad_words")
      for (const element word : value.get_array()) r->bad_tokens.lists.push_back(Tokens(word));
    else if (name == "stop_tokens")
      for (const element word : value.get_array()) r->stop_tokens.lists.push_back(Tokens(word));
    else if (name == "max_tokens")
      r->request.max_tokens = static_cast<uint32_t>(value.get_uint64());
    else if (name == "beam_width")
      number(SAMPLING_BEAM_WIDTH, &sampling.beam_width);
    else if (name == "length_penalty")
      number(SAMPLING_LENGTH_PENALTY, &sampling.length_penalty);
    else if (name == "early_stopping")
      number(SAMPLING_EARLY_STOPPING, &sampling.early_stopping);
    else
      ADD_FAILURE() << "unknown: " << name;
  }
}

}  // namespace embedded

#endif  // TEST_EMBEDDED_GOLDEN_REQUEST_H_
