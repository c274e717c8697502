#ifndef TEXT_TEXT_STREAM_H_
#define TEXT_TEXT_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "native/text/stop_strings.h"
#include "native/text/utf8.h"
#include "native/text/vocabulary.h"

namespace text {

enum class SpecialTokens { kSkip, kKeep };

struct StopMatch {
  size_t stop_index;  // which of the stop strings
  size_t tokens;  // of those given to this Push, how many belong to the output; the last one completed the stop string
};

// The text of one sequence, made from its tokens as they come. Not thread-safe: the pump thread's.
class TextStream {
 public:
  // `stops` may be null: there are none.
  TextStream(std::shared_ptr<const Vocabulary> vocabulary, std::shared_ptr<const StopStrings> stops,
             SpecialTokens special_tokens);

  // Appends to `out` the text that is certain now: whole characters, and nothing that could still become part of a stop
  // string. On a match the text ends before the stop string, and neither Push nor Finish may be called again.
  std::optional<StopMatch> Push(const int32_t* tokens, size_t count, std::string* out);

  // The sequence ended without a stop string: appends what was held back. An unfinished character becomes U+FFFD; should
  // that complete a stop string, the text ends before it.
  void Finish(std::string* out);

 private:
  void AppendToken(int32_t token, std::string* out);

  std::shared_ptr<const Vocabulary> vocabulary_;
  std::shared_ptr<const StopStrings> stops_;
  std::optional<StopMatcher> matcher_;
  Utf8Decoder decoder_;
  SpecialTokens special_tokens_;
  bool strip_space_;  // no byte came yet, and if the first is a space it is dropped
};

}  // namespace text

#endif  // TEXT_TEXT_STREAM_H_
