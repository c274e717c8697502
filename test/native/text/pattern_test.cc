#include "native/text/pattern.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

// What is expected here is what the Rust crate onig 6.5.3 answers, with which the npm package tokenizers 0.23.2 is built.
namespace text {
namespace {

using Strings = std::vector<std::string>;

Strings Matches(std::string_view pattern, const std::string& text) {
  const Pattern compiled(pattern);
  StepBudget budget{1000000};
  PatternMatches matches(compiled, text, &budget);
  Strings found;
  while (const auto match = matches.Next()) found.push_back(text.substr(match->begin, match->end - match->begin));
  return found;
}

bool Matches(std::string_view pattern, const std::string& text, size_t begin, size_t end) {
  StepBudget budget{1000000};
  const auto match = Pattern(pattern).Find(text, 0, &budget);
  return match && match->begin == begin && match->end == end;
}

std::string ErrorOf(std::string_view pattern) {
  try {
    Pattern compiled(pattern);
  } catch (const PatternError& error) {
    return error.what();
  }
  return "none";
}

constexpr char kGpt2[] = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr char kLlama3[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kO200k[] =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kCl100k[] =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s)";

TEST(Pattern, CutsTextAsThePublicModelsDo) {
  const std::string text = "I'll SAY'S it:  100000\xC2\xBD caf\u00E9s\u2026\r\n\n  \u4E2D\u6587 x";
  EXPECT_EQ(Matches(kGpt2, text), (Strings{"I", "'ll", " SAY", "'", "S", " it", ":", " ", " 100000\u00BD",
                                           " caf\u00E9s", "\u2026", "\r\n\n ", " \u4E2D\u6587", " x"}));
  EXPECT_EQ(Matches(kLlama3, text), (Strings{"I", "'ll", " SAY", "'S", " it", ":", " ", " ", "100", "000", "\u00BD",
                                             " caf\u00E9s", "\u2026\r\n\n", " ", " \u4E2D\u6587", " x"}));
  EXPECT_EQ(Matches(kO200k, text), (Strings{"I'll", " SAY'S", " it", ":", " ", " ", "100", "000", "\u00BD",
                                            " caf\u00E9s", "\u2026\r\n\n", " ", " \u4E2D\u6587", " x"}));
  EXPECT_EQ(Matches(kCl100k, text), (Strings{"I", "'ll", " SAY", "'S", " it", ":", " ", " ", "100000\u00BD",
                                             " caf\u00E9s", "\u2026\r\n\n", " ", " \u4E2D\u6587", " x"}));
}

TEST(Pattern, WhiteSpaceBeforeAWordLeavesItsLastCharacterToTheWord) {
  EXPECT_EQ(Matches(R"(\s+(?!\S)|\s+|\S+)", "a   b"), (Strings{"a", "  ", " ", "b"}));
  EXPECT_EQ(Matches(R"(\s+(?!\S)|\s+|\S+)", "a   "), (Strings{"a", "   "}));
  EXPECT_EQ(Matches(R"(\s+(?!\S)|\s+|\S+)", " b"), (Strings{" ", "b"}));
  EXPECT_EQ(Matches(R"(\s+(?!\S)|\s+|\S+)", "\u3000\u2003b"), (Strings{"\u3000", "\u2003", "b"}));
}

TEST(Pattern, TakesTheFirstAlternativeThatWorksRatherThanTheLongest) {
  EXPECT_EQ(Matches("a|ab", "ab"), (Strings{"a"}));
  EXPECT_EQ(Matches("(?:a|ab)c", "abc"), (Strings{"abc"}));
  EXPECT_EQ(Matches("b|ab|abc", "abc"), (Strings{"ab"}));
}

TEST(Pattern, QuantifiersAreGreedyLazyOrPossessive) {
  EXPECT_EQ(Matches("a+a", "aaa"), (Strings{"aaa"}));
  EXPECT_EQ(Matches("a+?", "aa"), (Strings{"a", "a"}));
  EXPECT_EQ(Matches("a++a", "aaa"), (Strings{}));
  EXPECT_EQ(Matches("a?+a", "aa"), (Strings{"aa"}));
  EXPECT_EQ(Matches("<.+?>", "<a><b>"), (Strings{"<a>", "<b>"}));
  EXPECT_EQ(Matches("(?:ab|c)++c", "abcc"), (Strings{}));
  EXPECT_EQ(Matches("(?:ab)*?c", "ababc"), (Strings{"ababc"}));
  EXPECT_EQ(Matches("(?:ab){2,3}", "abababab"), (Strings{"ababab"}));
}

TEST(Pattern, CountsAreOnigurumas) {
  EXPECT_EQ(Matches("a{2}?", "aaa"), (Strings{"aa", ""})) << "an optional a{2}, not a lazy one";
  EXPECT_EQ(Matches("a{1,2}+", "aaaaa"), (Strings{"aaaaa"})) << "a repeated a{1,2}, not a possessive one";
  EXPECT_EQ(Matches("a{3,1}a", "aaa"), (Strings{})) << "possessive: one to three";
  EXPECT_EQ(Matches("a{,2}b", "aaab"), (Strings{"aab"}));
  EXPECT_EQ(Matches("a{2,}", "aaa"), (Strings{"aaa"}));
  EXPECT_EQ(Matches("a{,}", "a{,}"), (Strings{"a{,}"})) << "no count, so text";
  EXPECT_EQ(Matches("a{b}", "a{b}"), (Strings{"a{b}"}));
  EXPECT_EQ(Matches("xa{0}y", "xy"), (Strings{"xy"}));
}

TEST(Pattern, AtomicGroupsKeepWhatTheyTook) {
  EXPECT_EQ(Matches("(?>a|ab)c", "abc"), (Strings{}));
  EXPECT_EQ(Matches("(?>ab|c)+c", "ccx"), (Strings{"cc"}));
  EXPECT_EQ(Matches("(?>(?:ab|c)+)c", "ccx"), (Strings{})) << "what follows must not turn the choice in it";
}

TEST(Pattern, LooksAheadAndBehind) {
  EXPECT_EQ(Matches(R"(\d{1,3}(?=(?:\d{3})*\b))", "1234567"), (Strings{"1", "234", "567"}));
  EXPECT_EQ(Matches("(?<=a)b", "abbb"), (Strings{"b"}));
  EXPECT_EQ(Matches("(?<!a)b", "abb"), (Strings{"b"}));
  EXPECT_EQ(Matches("(?<=\u4E2D|ab)x", "\u4E2Dx abx bx"), (Strings{"x", "x"}));
  EXPECT_EQ(Matches("(?<!\\n)^|(?!^)a", "aa"), (Strings{"", "a"}));
  EXPECT_EQ(Matches("(?<=a{1,3}b)c", "aabc bc"), (Strings{"c"}));
  EXPECT_EQ(Matches("(?=(?!b).)[ab]", "ba"), (Strings{"a"}));
}

TEST(Pattern, LookbehindSeesWhatIsBeforeTheSearch) {
  StepBudget budget{1000};
  EXPECT_EQ(Pattern("(?<=a)b").Find("ab", 1, &budget)->begin, 1u);
  EXPECT_FALSE(Pattern("^b").Find("ab", 1, &budget).has_value());
}

TEST(Pattern, AnchorsAreThoseOfLines) {
  EXPECT_EQ(Matches("^a", "a\na\n"), (Strings{"a", "a"}));
  EXPECT_TRUE(Matches("a$", "a\n", 0, 1));
  EXPECT_TRUE(Matches("a\\Z", "a\n", 0, 1));
  EXPECT_EQ(Matches("a\\z", "a\n"), (Strings{}));
  EXPECT_EQ(Matches("\\Aa", "aa\na"), (Strings{"a"}));
  EXPECT_EQ(Matches("^", "a\n"), (Strings{""})) << "no line begins behind the newline at the end";
  EXPECT_EQ(Matches("$", "a\n"), (Strings{"", ""}));
  EXPECT_EQ(Matches("\\b\\w", "ab \u4E2D\u6587"), (Strings{"a", "\u4E2D"}));
  EXPECT_EQ(Matches("\\Ba", "aa a"), (Strings{"a"}));
}

TEST(Pattern, EmptyMatchesAreLeftOutDirectlyBehindAMatch) {
  EXPECT_EQ(Matches("a*", "baab"), (Strings{"", "aa", ""}));
  EXPECT_EQ(Matches("", "\u4E2D"), (Strings{"", ""}));
  EXPECT_EQ(Matches("(?=b)|a", "ab"), (Strings{"a"}));
}

TEST(Pattern, LoopsOverNothingEnd) {
  EXPECT_EQ(Matches("(?:a?)*b", "aab"), (Strings{"aab"}));
  EXPECT_EQ(Matches("(?:a*)+?b", "aab"), (Strings{"aab"}));
  EXPECT_EQ(Matches("(?:|a)+", "aa"), (Strings{"", "", ""}));
  EXPECT_EQ(Matches("(?:((?=a))|b)*c", "bc"), (Strings{"bc"}));
}

TEST(Pattern, ClassesHaveRangesNegationNestingAndIntersection) {
  EXPECT_EQ(Matches("[a-c]+", "abcd"), (Strings{"abc"}));
  EXPECT_EQ(Matches("[^a-c\\n]+", "xa\ny"), (Strings{"x", "y"}));
  EXPECT_EQ(Matches("[a-z&&[^aeiou]]+", "hello"), (Strings{"h", "ll"}));
  EXPECT_EQ(Matches("[^a[bc]]+", "abcd"), (Strings{"d"}));
  EXPECT_EQ(Matches("[\\p{L}&&\\p{Han}]+", "a\u4E2D"), (Strings{"\u4E2D"}));
  EXPECT_EQ(Matches("[[:alpha:][:^ascii:]]+", "a1\u00BD"), (Strings{"a", "\u00BD"}));
  EXPECT_EQ(Matches("[]a]+", "]a"), (Strings{"]a"}));
  EXPECT_EQ(Matches("[-a]+[a-]+[a-c-e]+",
                    "-a"
                    "-"
                    "-e"),
            (Strings{"-a--e"}));
  EXPECT_EQ(Matches("[\\u4e00-\\x{9fa5}\\x41]+", "A\u4E2DB"), (Strings{"A\u4E2D"}));
  EXPECT_EQ(Matches(" ?[^(\\s|[.,!?\u2026\u3002\uFF0C\u3001\u0964\u06D4\u060C])]+", "hi, (there|x)"),
            (Strings{"hi", "there", "x"}))
      << "BLOOM's";
}

TEST(Pattern, EscapesAreOnigurumas) {
  EXPECT_EQ(Matches("\\t\\n\\r\\f\\v\\a\\e\\0\\012", std::string("\t\n\r\f\v\a\x1B\0\n", 9)).size(), 1u);
  EXPECT_EQ(Matches("\\.\\-\\/\\'\\_\\q", ".-/'_q").size(), 1u);
  EXPECT_EQ(Matches("\\h+", "0fgF"), (Strings{"0f", "F"}));
  EXPECT_EQ(Matches("\\R", "\r\n\n\u2028"), (Strings{"\r\n", "\n", "\u2028"}));
  EXPECT_EQ(Matches("\\p{^L}\\P{^L}", "1a"), (Strings{"1a"}));
  EXPECT_EQ(Matches("\\x", "x"), (Strings{"x"}));
  EXPECT_EQ(Matches(".\\N\\O", "ab\n"), (Strings{"ab\n"}));
}

TEST(Pattern, WordIsWiderOutsideOfBrackets) {
  EXPECT_EQ(Matches("\\w", "\u00B2"), (Strings{"\u00B2"}));
  EXPECT_EQ(Matches("[\\w]", "\u00B2"), (Strings{}));
}

TEST(Pattern, OptionsHoldToTheEndOfTheirGroup) {
  EXPECT_EQ(Matches("(?i:ab)c", "ABc ABC"), (Strings{"ABc"}));
  EXPECT_EQ(Matches("a(?i)b|c", "aB aC"), (Strings{"aB", "aC"})) << "it takes what follows into a group";
  EXPECT_EQ(Matches("(?m:.)+", "a\nb"), (Strings{"a\nb"}));
  EXPECT_EQ(Matches("(?x) a b # c\n c (?-x: )", "abc "), (Strings{"abc "}));
  EXPECT_EQ(Matches("a(?#note\\))b", "ab"), (Strings{"ab"}));
  EXPECT_EQ(Matches("(?<name>a)(b)", "ab"), (Strings{"ab"}));
}

TEST(Pattern, IgnoresCaseOfContractionsWithLongSAndKelvin) {
  EXPECT_EQ(Matches("(?i:'s|'t|'re|'ve|'m|'ll|'d)", "'S'\u017F'T'Re'LL'D"),
            (Strings{"'S", "'\u017F", "'T", "'Re", "'LL", "'D"}));
  EXPECT_EQ(Matches("'(?i:[sdmt]|ll)", "'\u017F"), (Strings{"'\u017F"}));
  EXPECT_EQ(Matches("(?i:k)", "k\u212AK"), (Strings{"k", "\u212A", "K"}));
  EXPECT_EQ(Matches("(?i:[^k])", "\u212Ax"), (Strings{"x"}));
  EXPECT_EQ(Matches("(?i:\\p{Lu})", "aA"), (Strings{"A"})) << "a property is taken as it is";
}

TEST(Pattern, OneCharacterMayEqualSeveralWhereCaseIsIgnored) {
  EXPECT_EQ(Matches("(?i:strasse)", "Stra\u00DFe STRA\u1E9EE strasse").size(), 3u);
  EXPECT_EQ(Matches("(?i:\u00DF)", "ss \u1E9E"), (Strings{"ss", "\u1E9E"}));
  EXPECT_EQ(Matches("(?i:[\u00DF])", "sS"), (Strings{"sS"}));
  EXPECT_EQ(Matches("(?i:(?<=[\u00DF])x)", "ssx \u00DFx"), (Strings{"x", "x"}));
  EXPECT_EQ(Matches("(?i:(?<=\u00DF)x)", "ssx \u1E9Ex"), (Strings{"x"})) << "as text only one character does here";
  EXPECT_EQ(Matches("(?i:ffi)", "\uFB03 FFI"), (Strings{"\uFB03", "FFI"}));
  EXPECT_EQ(Matches("(?i:ffi)", "\uFB00i"), (Strings{})) << "of ffi the longest is taken";
}

TEST(Pattern, NamesWhatItDoesNotSupportAndWhere) {
  EXPECT_EQ(ErrorOf("(a)\\1"), "A backreference is not supported, at byte 3 of the pattern.");
  EXPECT_EQ(ErrorOf("(?<n>a)\\k<n>"), "A backreference is not supported, at byte 7 of the pattern.");
  EXPECT_EQ(ErrorOf("\\g<0>"), "A call of a group is not supported, at byte 0 of the pattern.");
  EXPECT_EQ(ErrorOf("a(?~b)"), "An absent operator (?~ is not supported, at byte 1 of the pattern.");
  EXPECT_EQ(ErrorOf("(?(1)a|b)"), "A condition (?( is not supported, at byte 0 of the pattern.");
  EXPECT_EQ(ErrorOf("(?{x})"), "A callout (?{ is not supported, at byte 0 of the pattern.");
  EXPECT_EQ(ErrorOf("(*FAIL)"), "A callout (* is not supported, at byte 0 of the pattern.");
  EXPECT_EQ(ErrorOf("(?s:a)"), "The group option s is not supported, at byte 0 of the pattern.");
  EXPECT_EQ(ErrorOf("\\K"), "\\K is not supported, at byte 0 of the pattern.");
  EXPECT_EQ(ErrorOf("a\\p{Nope}"), "The property \"Nope\" is not supported, at byte 1 of the pattern.");
  EXPECT_EQ(ErrorOf("(?<=a+)b"),
            "A lookbehind of more than 255 characters is not supported, at byte 0 of the pattern.");
  EXPECT_EQ(ErrorOf("\\xE4"),
            "A byte above 7F (use \\x{...} for a character) is not supported, at byte 0 of the pattern.");
  try {
    Pattern("ab\\1");
    FAIL();
  } catch (const PatternError& error) {
    EXPECT_EQ(error.offset(), 2u);
  }
}

TEST(Pattern, RefusesWhatIsNoPattern) {
  for (const char* pattern :
       {"(",         ")",    "(?",    "(?:",          "(?<",         "(?<a",      "[",          "[a",
        "[]",        "[^]",  "[a",    "[b-a]",        "[a-\\d]",     "[\\d-a]",   "[[:nope:]]", "\\",
        "*",         "a|*",  "\\p{L", "\\u12",        "\\x{110000}", "\\x{D800}", "(?i",        "(?#",
        "a{100001}", "\xFF", "\xC3",  "\xED\xA0\x80", "\xC0\x80"})
    EXPECT_NE(ErrorOf(pattern), "none") << pattern;
}

}  // namespace
}  // namespace text
