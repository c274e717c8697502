#ifndef TEXT_FINDER_H_
#define TEXT_FINDER_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "native/text/pattern.h"
#include "native/text/slice.h"

namespace text {

// What a step of tokenizer.json looks for in a text. Immutable, so threads may share it.
class Finder {
 public:
  enum class Characters { kNumeric, kWhitespace, kPunctuation };
  struct Words {};  // as long as they go on: letters, digits and the like, or neither those nor whitespace
  static constexpr size_t kMaxString = 4096;  // bytes

  explicit Finder(Characters characters) : target_(characters) {}  // one at a time
  explicit Finder(Words words) : target_(words) {}
  explicit Finder(std::string text) : target_(std::move(text)) {}  // not empty
  explicit Finder(Pattern pattern) : target_(std::move(pattern)) {}

 private:
  friend class MatchReader;
  std::variant<Characters, Words, std::string, Pattern> target_;
};

// The matches of a text one after another, none overlapping, and found step by step.
class MatchReader {
 public:
  enum class State { kMatch, kPending, kEnd };

  // All must outlive it, and what `utf8` views.
  MatchReader(const Finder& finder, std::string_view utf8, StepBudget* budget)
      : finder_(finder), utf8_(utf8), budget_(budget) {}

  // Throws StepLimitReached.
  State Next(Slice* slice, Pattern::Match* match);

 private:
  State NextCharacter(Finder::Characters characters, Slice* slice, Pattern::Match* match);
  State NextWord(Slice* slice, Pattern::Match* match);
  State NextString(const std::string& text, Slice* slice, Pattern::Match* match);
  State NextPattern(const Pattern& pattern, Slice* slice, Pattern::Match* match);

  const Finder& finder_;
  std::string_view utf8_;
  StepBudget* budget_;
  size_t at_ = 0;  // no match begins before
  std::optional<size_t> word_begin_;
  std::optional<size_t> last_end_;
};

}  // namespace text

#endif  // TEXT_FINDER_H_
