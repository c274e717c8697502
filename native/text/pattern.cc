#include "native/text/pattern.h"

#include <algorithm>

#include "native/text/unicode.h"

namespace text {

struct Pattern::Program {
  std::string literal;
};

Pattern::Pattern(std::string_view source) : program_(new Program{std::string(source)}) {
  const size_t special = source.find_first_of("\\[](){}|?*+.^$");
  if (special != source.npos) throw PatternError("Not supported yet.", special);
}
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;
Pattern::~Pattern() = default;

std::optional<Pattern::Match> Pattern::Find(std::string_view utf8, size_t from, StepBudget* budget) const {
  const size_t begin = utf8.find(program_->literal, from);
  const uint64_t steps = std::min(begin, utf8.size()) - from + 1;
  if (budget->left < steps) throw StepLimitReached("The search for a pattern took too many steps.");
  budget->left -= steps;
  if (begin == utf8.npos) return std::nullopt;
  return Match{begin, begin + program_->literal.size()};
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
