#include "native/text/unicode.h"

#include <gtest/gtest.h>

#include <string>

namespace text {
namespace {

TEST(Unicode, ReadsCharactersOfEachLengthAndNothingPastTheEnd) {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";
  EXPECT_EQ(CharacterAt(text, 0).code, U'a');
  EXPECT_EQ(CharacterAt(text, 1).code, U'\u00E9');
  EXPECT_EQ(CharacterAt(text, 3).code, U'\u20AC');
  EXPECT_EQ(CharacterAt(text, 6).code, U'\U0001F600');
  EXPECT_EQ(CharacterAt(text, 6).size, 4u);
  for (size_t size = 7; size < 10; ++size) {
    const std::string cut = text.substr(0, size);
    EXPECT_EQ(CharacterAt(cut, 6).size, size - 6);
  }
}

TEST(Unicode, WritesWhatItReads) {
  for (const char32_t code : {0x0u, 0x7Fu, 0x80u, 0x7FFu, 0x800u, 0xFFFFu, 0x10000u, 0x10FFFFu}) {
    std::string utf8;
    AppendUtf8(code, &utf8);
    EXPECT_EQ(CharacterAt(utf8, 0).code, code);
    EXPECT_EQ(CharacterAt(utf8, 0).size, utf8.size());
  }
}

TEST(Unicode, ClassesOfTheCrateTokenizersHaveTheirOwnVersionsOfUnicode) {
  for (const char32_t code : {0x20u, 0x9u, 0xDu, 0x85u, 0xA0u, 0x1680u, 0x2007u, 0x2028u, 0x3000u})
    EXPECT_TRUE(IsWhitespace(code)) << code;
  for (const char32_t code : {0x8u, 0xEu, 0x1Cu, 0x180Eu, 0x200Bu, 0xFEFFu}) EXPECT_FALSE(IsWhitespace(code)) << code;

  EXPECT_TRUE(IsNumeric(U'7') && IsNumeric(U'\u00B2') && IsNumeric(U'\u2167'));
  EXPECT_TRUE(IsNumeric(0x11DE0)) << "a digit since Unicode 17";
  EXPECT_FALSE(IsNumeric(U'a') || IsNumeric(U'\u4E00'));

  EXPECT_TRUE(IsPunctuation(U'$') && IsPunctuation(U'~') && IsPunctuation(U'\u3002'));
  EXPECT_TRUE(IsPunctuation(0x166D)) << "a symbol since Unicode 12";
  EXPECT_FALSE(IsPunctuation(0x61D)) << "of Unicode 14";
  EXPECT_FALSE(IsPunctuation(U'\u20AC') || IsPunctuation(U'a'));

  EXPECT_TRUE(IsWord(U'a') && IsWord(U'_') && IsWord(U'\u0301') && IsWord(U'\u200D'));
  EXPECT_FALSE(IsWord(U'-') || IsWord(U'\u00B2'));
}

TEST(Unicode, FindsPropertiesByAnySpelling) {
  const auto has = [](const char* name, char32_t code) { return CharactersOf(name).value().Contains(code); };
  EXPECT_TRUE(has("L", U'\u4E2D') && has("Letter", U'a') && has("lu", U'A') && has("Uppercase Letter", U'A'));
  EXPECT_TRUE(has("Han", U'\u4E2D') && has("hiragana", U'\u3042') && has("KATAKANA", U'\u30A2'));
  EXPECT_TRUE(has("Hangul", U'\uD55C') && has("Thai", U'\u0E01') && has("Old_North_Arabian", 0x10A80));
  EXPECT_TRUE(has("White_Space", U' ') && has("Emoji", 0x1F600) && has("Cn", 0x88F)) << "of Unicode 17";
  EXPECT_FALSE(has("Lu", U'a') || has("Han", U'\u3042'));
  EXPECT_FALSE(CharactersOf("Latn").has_value());
  EXPECT_FALSE(CharactersOf("").has_value());
}

TEST(Unicode, PunctIsPunctuationAsAPropertyAndSymbolsTooAsAPosixClass) {
  EXPECT_TRUE(CharactersOf("Punct")->Contains(U'!'));
  EXPECT_FALSE(CharactersOf("Punct")->Contains(U'$'));
  EXPECT_TRUE(CharactersOfPosixClass("punct")->Contains(U'$'));
}

TEST(CharSet, JoinsRangesThatTouch) {
  const CharSet set({{U'c', U'e'}, {U'a', U'b'}, {U'd', U'f'}, {U'x', U'x'}});
  EXPECT_EQ(set.ranges(), (std::vector<CharRange>{{U'a', U'f'}, {U'x', U'x'}}));
  EXPECT_EQ(set.Complement().Complement().ranges(), set.ranges());
  EXPECT_EQ(set.Intersection(CharSet({{U'e', U'z'}})).ranges(), (std::vector<CharRange>{{U'e', U'f'}, {U'x', U'x'}}));
  EXPECT_EQ(set.Union(set.Complement()).ranges(), CharSet::All().ranges());
  EXPECT_TRUE(CharSet::All().Complement().empty());
}

}  // namespace
}  // namespace text
