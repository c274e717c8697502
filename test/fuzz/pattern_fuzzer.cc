// A pattern is compiled or refused, and what it finds lies in the text, is the leftmost, and costs no more than its budget.
#include "native/text/pattern.h"

#include <optional>
#include <string>

#include "fuzz.h"
#include "input.h"
#include "plain_utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider input(data, size);
  // Any bytes, as patterns are checked; the text is what the caller has made sure of.
  const std::string source = input.ConsumeRandomLengthString(256);
  const std::string text = fuzz::PlainDecode(input.ConsumeRemainingBytesAsString(), fuzz::End::kFinal);
  std::optional<text::Pattern> pattern;
  try {
    pattern.emplace(source);
  } catch (const text::PatternError& error) {
    fuzz::Require(error.offset() <= source.size(), "an error's place is in the pattern", source);
    return 0;
  }
  const auto is_boundary = [&](size_t at) {
    return at == text.size() || (static_cast<uint8_t>(text[at]) & 0xC0) != 0x80;
  };
  constexpr uint64_t kSteps = 20'000;
  text::StepBudget budget{kSteps};
  try {
    text::PatternMatches matches(*pattern, text, &budget);
    size_t end = 0;
    while (const auto match = matches.Next()) {
      fuzz::Require(match->begin >= end && match->end >= match->begin && match->end <= text.size(),
                    "matches are in the text, one behind the other", source);
      fuzz::Require(is_boundary(match->begin) && is_boundary(match->end), "matches are whole characters", source);
      const auto again = pattern->Find(text, match->begin, &budget);
      fuzz::Require(again && again->begin == match->begin && again->end == match->end,
                    "a search from where a match begins finds it", source);
      end = match->end;
    }
  } catch (const text::StepLimitReached&) {
  }
  fuzz::Require(budget.left <= kSteps, "a budget only shrinks", source);

  // Text that turns out not to be UTF-8 has no meaning, but is read within its bounds.
  std::string broken = text;
  for (size_t i = 0; i < broken.size(); i += 3) broken[i] = static_cast<char>(broken[i] ^ 0x81);
  try {
    text::StepBudget rest{kSteps};
    text::PatternMatches matches(*pattern, broken, &rest);
    while (matches.Next()) {
    }
  } catch (const text::StepLimitReached&) {
  }
  return 0;
}
