#ifndef TEXT_TEXT_STREAM_H_
#define TEXT_TEXT_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "native/text/stop_strings.h"
#include "native/text/utf8.h"
#include "native/text/vocabulary.h"

namespace text {

enum class SpecialTokens { kSkip, kKeep };

struct StopMatch {
  size_t stop_index;  // which of the stop strings
  size_t tokens;  // of those given to this Push, how many belong to the output; the last one completed the stop string
};

// How the tokens of a request become text.
struct TextSettings {
  std::shared_ptr<const StopStrings> stops;  // null: none
  SpecialTokens special_tokens = SpecialTokens::kSkip;
  std::vector<int32_t> shown = {};  // special tokens that are text even where others are skipped
};

// The text of one sequence, made from its tokens as they come. Not thread-safe: the pump thread's.
class TextStream {
 public:
  // No stop string ends before the token of the number `min_tokens`, counted from 1.
  TextStream(std::shared_ptr<const Vocabulary> vocabulary, TextSettings settings, size_t min_tokens = 0);

  // The text goes on from that of these tokens, so that the space before its first word stays if they have any text.
  // Before the first Push.
  void ContinueFrom(const int32_t* tokens, size_t count);

  // Appends to `out` the text that is certain now: whole characters, and nothing that could still become part of a stop
  // string. On a match the text ends before the stop string, and neither Push nor Finish may be called again. A stop
  // string is found in the text as it is, and as it would be with the special tokens that are left out.
  std::optional<StopMatch> Push(const int32_t* tokens, size_t count, std::string* out);

  // The sequence ended without a stop string: appends what was held back. An unfinished character becomes U+FFFD; should
  // that complete a stop string, the text ends before it.
  void Finish(std::string* out);

 private:
  bool IsShown(int32_t token) const;
  void AppendToken(int32_t token, std::string* out);
  // Looks at what follows: text that `out` ends with, or the name of a token that is left out. On a match cuts `out` and
  // returns the index of the stop string.
  std::optional<size_t> FindStop(std::string_view text, std::string* out);
  std::optional<size_t> FindStopInHidden(std::string_view name, std::string* out);

  // The text with the special tokens that are left out, as far back as a stop string may begin.
  struct WithHidden {
    StopMatcher matcher;
    std::string shown;  // by byte: 1 in the text, 0 left out

    // Cuts `out`, which ends with the bytes that are shown, before the last `size` of all bytes.
    void Cut(size_t size, std::string* out) const;
  };

  std::shared_ptr<const Vocabulary> vocabulary_;
  TextSettings settings_;
  std::optional<StopMatcher> matcher_;
  std::optional<WithHidden> with_hidden_;  // from the first token that was left out
  std::string held_;                       // text that may be the start of a stop string
  Utf8Decoder decoder_;
  size_t tokens_left_;  // until a stop string may end
  bool strip_space_;    // no byte came yet, and if the first is a space it is dropped
};

}  // namespace text

#endif  // TEXT_TEXT_STREAM_H_
