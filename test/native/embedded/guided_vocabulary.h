// A vocabulary of bytes for guided requests of DefaultModel.
#ifndef TEST_EMBEDDED_GUIDED_VOCABULARY_H_
#define TEST_EMBEDDED_GUIDED_VOCABULARY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "native/executor/executor.h"

namespace embedded {

constexpr int32_t kEnd = 100;

// Tokens 0 to 94 are the printable characters of ASCII, token 95 a line feed; the others are special.
struct GuidedVocabulary {
  std::vector<uint8_t> bytes, special;
  std::vector<uint32_t> offsets{0};
  int32_t end = kEnd;

  GuidedVocabulary() {
    for (int token = 0; token < 101; ++token) {
      const bool is_special = token > 95;
      bytes.push_back(is_special ? '#' : token == 95 ? '\n' : static_cast<uint8_t>(' ' + token));
      offsets.push_back(static_cast<uint32_t>(bytes.size()));
      special.push_back(is_special);
    }
  }
};

inline ExecutorGuidedDecodingConfig GuidedConfig() {
  static const GuidedVocabulary vocabulary;
  ExecutorGuidedDecodingConfig config{};
  config.size = sizeof(config);
  config.backend = GUIDED_BACKEND_LLGUIDANCE;
  config.stop_tokens = &vocabulary.end;
  config.stop_token_count = 1;
  config.token_bytes = vocabulary.bytes.data();
  config.token_offsets = vocabulary.offsets.data();
  config.token_special = vocabulary.special.data();
  config.token_count = static_cast<uint32_t>(vocabulary.special.size());
  return config;
}

inline std::string GuidedText(const std::vector<int32_t>& tokens) {
  std::string text;
  for (const int32_t token : tokens) text += token == 95 ? '\n' : static_cast<char>(' ' + token);
  return text;
}

}  // namespace embedded

#endif  // TEST_EMBEDDED_GUIDED_VOCABULARY_H_
