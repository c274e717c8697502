#include "native/text/pattern.h"

#include "native/text/pattern_matcher.h"
#include "native/text/pattern_parser.h"
#include "native/text/pattern_program.h"
#include "native/text/unicode.h"

namespace text {

struct Pattern::Program {
  PatternProgram program;
};

Pattern::Pattern(std::string_view source) : program_(new Program{CompilePattern(ParsePattern(source))}) {}
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;
Pattern::~Pattern() = default;

std::optional<Pattern::Match> Pattern::Find(std::string_view utf8, size_t from, StepBudget* budget) const {
  return PatternMatcher(program_->program, utf8, budget).Find(from);
}

std::optional<Pattern::Match> PatternMatches::Next() {
  while (from_ <= utf8_.size()) {
    const std::optional<Pattern::Match> match = pattern_.Find(utf8_, from_, budget_);
    if (!match) break;
    if (match->begin == match->end && last_end_ == match->end) {
      from_ += from_ < utf8_.size() ? CharacterAt(utf8_, from_).size : 1;
      continue;
    }
    from_ = match->end;
    last_end_ = match->end;
    return match;
  }
  from_ = utf8_.size() + 1;
  return std::nullopt;
}

}  // namespace text
