#ifndef TEXT_PATTERN_H_
#define TEXT_PATTERN_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace text {

// A pattern is wrong, too large, or uses what is not supported. what() says which, and at which byte of the pattern.
class PatternError : public std::invalid_argument {
 public:
  PatternError(const std::string& message, size_t offset) : std::invalid_argument(message), offset_(offset) {}
  size_t offset() const { return offset_; }

 private:
  size_t offset_;
};

// A search took more steps than its budget, or kept more than a million places to go back to.
class StepLimitReached : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What searches may still cost. A step is an instruction of the compiled pattern, eight bytes that a loop passes over, or a
// place to which the search goes back; ten million take 50 to 120 ms. The public models need up to 14 for each byte.
struct StepBudget {
  uint64_t left;
};

// A compiled regular expression in Oniguruma's syntax, as tokenizer.json has it. Immutable, so threads may share it. What
// it cannot do (backreferences, calls, conditions, absent operators, callouts, \K, \G, \X) is refused, as is what is too
// large: 32 KiB, groups 64 deep, 1000 different classes, 32768 instructions, a lookbehind of 255 characters.
class Pattern {
 public:
  explicit Pattern(std::string_view source);  // throws PatternError
  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;
  ~Pattern();

  struct Match {
    size_t begin, end;  // bytes
  };
  // The leftmost match that begins at or behind `from`, a character's first byte or the end; of several that begin there,
  // the one that backtracking finds first. What is before `from` is seen by lookbehind. Throws StepLimitReached.
  std::optional<Match> Find(std::string_view utf8, size_t from, StepBudget* budget) const;

 private:
  struct Program;
  std::unique_ptr<const Program> program_;
};

// The matches of a text one after another, none overlapping. An empty one directly behind the match before is left out, as
// the Rust crate `onig` does. `pattern` and `budget` must outlive it, and what `utf8` views.
class PatternMatches {
 public:
  PatternMatches(const Pattern& pattern, std::string_view utf8, StepBudget* budget)
      : pattern_(pattern), utf8_(utf8), budget_(budget) {}

  std::optional<Pattern::Match> Next();

 private:
  const Pattern& pattern_;
  std::string_view utf8_;
  StepBudget* budget_;
  size_t from_ = 0;
  std::optional<size_t> last_end_;
};

}  // namespace text

#endif  // TEXT_PATTERN_H_
