#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "native/text/pattern.h"

namespace text {
namespace {

std::string Times(const std::string& part, size_t count) {
  std::string all;
  for (size_t i = 0; i < count; ++i) all += part;
  return all;
}

constexpr char kLlama3[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// How many steps it takes to find all matches; none if that is more than `limit`.
std::optional<uint64_t> StepsOf(std::string_view pattern, const std::string& text, uint64_t limit) {
  const Pattern compiled(pattern);
  StepBudget budget{limit};
  try {
    PatternMatches matches(compiled, text, &budget);
    while (matches.Next()) {
    }
  } catch (const StepLimitReached&) {
    return std::nullopt;
  }
  return limit - budget.left;
}

TEST(PatternLimits, TextsThatAreOneWordTakeLessThanAStepForEachByte) {
  const size_t size = 10'000'000;
  for (const char* part : {" ", "a", "A", "1", "!", "\n", "\u4E2D", "\u0301", "'"}) {
    const std::string text = Times(part, size / std::string(part).size()) + "x";
    EXPECT_LT(StepsOf(kLlama3, text, UINT64_MAX).value(), part[0] == '1' || part[0] == '\'' ? 3 * size : size) << part;
  }
}

// As DeepSeek's first models have it: from each space on it would come to the same end.
TEST(PatternLimits, ALoopAtTheStartIsNotTriedAgainFromInside) {
  const std::string text = std::string(1'000'000, ' ') + "x ";
  for (const char* pattern : {"\\s+$", "\\s*?x$", "\\s++$", "\\s{3,}y"})
    EXPECT_LT(StepsOf(pattern, text, UINT64_MAX).value(), 4 * text.size()) << pattern;
}

TEST(PatternLimits, ExponentialAndQuadraticSearchesEnd) {
  const std::string text = std::string(100'000, 'a') + "b";
  for (const char* pattern : {"(a|aa?)+$", "(?:a|aa)+$", "(.*,?)*x", "(.*?,?)*x", "(a*b?)*c", "a*a+$", "a*a*a*c",
                              "(?=a*c)a", "a{30000}c", "(?:a?){500}a{500}c", "(?<=a{0,200}c)", "(?:(?:a?b?)*c?)*d"})
    EXPECT_EQ(StepsOf(pattern, text, 1'000'000), std::nullopt) << pattern;
  for (const char* pattern : {"(a+)+$", "(a|a)+$", "(.*)*x", "(a*)*c"})  // they are simpler than they look
    EXPECT_TRUE(StepsOf(pattern, text, 1'000'000).has_value()) << pattern;
}

TEST(PatternLimits, LongTextsOfAPatternCountAsSteps) {
  EXPECT_EQ(StepsOf(std::string(30'000, 'a') + "b", std::string(1'000'000, 'a'), 10'000'000), std::nullopt);
}

TEST(PatternLimits, TheStackEndsInsteadOfGrowing) {
  const std::string text = Times("ab", 2'000'000);
  const Pattern pattern("(?:ab)+");
  StepBudget budget{UINT64_MAX};
  EXPECT_THROW(pattern.Find(text, 0, &budget), StepLimitReached);
}

TEST(PatternLimits, ALoopOverASetTakesNoStackForEachCharacter) {
  const std::string text(10'000'000, ' ');
  StepBudget budget{UINT64_MAX};
  const auto match = Pattern("\\s+(?!\\S)").Find(text + "x", 0, &budget);
  ASSERT_TRUE(match.has_value());
  EXPECT_EQ(match->end, text.size() - 1);
}

TEST(PatternLimits, ASpentBudgetStaysSpent) {
  const Pattern pattern("(?:a|aa)+$");
  StepBudget budget{1000};
  EXPECT_THROW(pattern.Find(std::string(100, 'a') + "b", 0, &budget), StepLimitReached);
  EXPECT_EQ(budget.left, 0u);
  EXPECT_THROW(pattern.Find("a", 0, &budget), StepLimitReached);
}

TEST(PatternLimits, PatternsThatWouldGrowAreRefused) {
  const std::string patterns[] = {
      "(?:ab){1,30000}",
      "(?:(?:(?:a{1,100}b){1,100}){1,100}){1,100}",
      Times("(", 10'000) + Times(")", 10'000),
      Times("(?:", 60) + "a" + Times("+){2,3}", 60),
      Times("[", 10'000) + Times("]", 10'000),
      Times("(?i)", 1000),
      "a" + Times("{2}", 100),
      std::string(32'769, 'a'),
      "(?i)" + Times("[\\p{L}]", 4000),
      [] {
        std::string all;
        for (int i = 1000; i < 3000; ++i) all += "[a\\x{" + std::to_string(i) + "}]";
        return all;
      }(),
  };
  for (const std::string& pattern : patterns) EXPECT_THROW(Pattern{pattern}, PatternError) << pattern.substr(0, 40);
}

TEST(PatternLimits, LargePatternsThatAreFineStillCompile) {
  EXPECT_TRUE(StepsOf(Times("\\p{L}", 6000), std::string(6000, 'a'), 1'000'000).has_value());
  EXPECT_TRUE(StepsOf(Times("ab|", 10'000) + "c", Times("xab", 1000), 1'000'000).has_value());
  EXPECT_TRUE(StepsOf(Times("(?:", 60) + "a?" + Times(")*", 60), "aab", 1'000'000).has_value());
}

}  // namespace
}  // namespace text
