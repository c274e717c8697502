#ifndef TEXT_PATTERN_MATCHER_H_
#define TEXT_PATTERN_MATCHER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "native/text/pattern.h"
#include "native/text/pattern_program.h"

namespace text {

// Runs a program at places of one text, by backtracking: where a choice was made is kept on a stack of its own.
class PatternMatcher {
 public:
  PatternMatcher(const PatternProgram& program, std::string_view text, StepBudget* budget)
      : program_(program), text_(text), budget_(budget) {}

  std::optional<Pattern::Match> Find(size_t from);

 private:
  enum class EntryKind : uint32_t {
    kResume,    // at `pc`
    kChoice,    // of instruction `pc`; `more` is which alternatives are left
    kLoop,      // greedy, of instruction `pc`: it may give back characters down to byte `more`
    kLazyLoop,  // of instruction `pc`; it may take `more` characters more
    kBehind,    // of instruction `pc`; it went back `more` characters, to `at`
    kMark,      // of instruction `pc`: something inside of it began at `at`
    kDenied,    // of a negative look `pc` at `at`, whose body has not matched
  };
  struct Entry {
    uint32_t pc;
    EntryKind kind;
    size_t at;
    uint64_t more;
  };

  std::optional<size_t> Match(size_t begin);
  bool GoBack(uint32_t* pc, size_t* at);
  size_t EndOfLoop(const Instruction& loop, uint32_t wanted, size_t begin, size_t* least) const;
  bool StepBack(const Instruction& behind, uint32_t pc, uint64_t taken, size_t* at);
  bool HoldsAnchor(Anchor anchor, size_t at) const;
  bool IsWordBefore(size_t at) const;
  bool IsWordAt(size_t at) const;
  size_t PreviousCharacter(size_t at) const;
  bool MayFollow(uint32_t first, size_t at) const;
  size_t Last(uint32_t pc) const;  // the mark that `pc` made last, by its place on the stack

  void Push(const Entry& entry) {
    if (count_ == capacity_) Grow();
    entries_[count_++] = entry;
  }
  void Grow();
  void Spend(uint64_t steps);
  [[noreturn]] void OutOfSteps();

  const PatternProgram& program_;
  const std::string_view text_;
  StepBudget* const budget_;
  // The first entries lie here, so that few matches need memory.
  static constexpr size_t kInlineEntries = 32;
  Entry inline_[kInlineEntries];
  std::vector<Entry> heap_;
  Entry* entries_ = inline_;
  size_t capacity_ = kInlineEntries;
  size_t count_ = 0;
};

}  // namespace text

#endif  // TEXT_PATTERN_MATCHER_H_
