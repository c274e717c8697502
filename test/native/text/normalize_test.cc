#include "native/text/normalize.h"

#include <gtest/gtest.h>

#include <string>

namespace text {
namespace {

std::string Normalized(NormalizationForm form, std::string_view utf8) {
  std::string out;
  Normalize(form, utf8, &out);
  return out;
}

constexpr NormalizationForm kForms[] = {NormalizationForm::kNfc, NormalizationForm::kNfd, NormalizationForm::kNfkc,
                                        NormalizationForm::kNfkd};

TEST(Normalize, ComposesAndDecomposes) {
  const std::string composed = "caf\u00E9 \uAC01", decomposed = "cafe\u0301 \u1100\u1161\u11A8";
  EXPECT_EQ(Normalized(NormalizationForm::kNfc, decomposed), composed);
  EXPECT_EQ(Normalized(NormalizationForm::kNfd, composed), decomposed);
  EXPECT_EQ(Normalized(NormalizationForm::kNfkc, "\uFB01\u00B2\u2460\uFF76\uFF9E"), "fi21\u30AC");
  EXPECT_EQ(Normalized(NormalizationForm::kNfkd, "\u1E9B\u0323"), "s\u0323\u0307");
}

TEST(Normalize, PutsMarksInOrderBeforeItComposes) {
  EXPECT_EQ(Normalized(NormalizationForm::kNfd, "a\u0301\u0323\u0300"), "a\u0323\u0301\u0300");
  EXPECT_EQ(Normalized(NormalizationForm::kNfc, "a\u0301\u0323"), "\u1EA1\u0301");
  EXPECT_EQ(Normalized(NormalizationForm::kNfc, "a\u0323\u0334\u0301"), "\u1EA1\u0334\u0301");
}

TEST(Normalize, LeavesOutExclusionsAndWhatTheCrateDoesNotKnow) {
  EXPECT_EQ(Normalized(NormalizationForm::kNfc, "\u0958"), "\u0915\u093C") << "a composition exclusion";
  EXPECT_EQ(Normalized(NormalizationForm::kNfkd, "\u32FF"), "\u32FF") << "of Unicode 12.1, and its tables are of 9.0";
}

TEST(Normalize, MarksWithoutAStarterStayMarks) {
  EXPECT_EQ(Normalized(NormalizationForm::kNfc, "\u0301\u0323a"), "\u0323\u0301a");
  EXPECT_EQ(Normalized(NormalizationForm::kNfkc, "\uFF9E\u304B"), "\u3099\u304B");
}

TEST(Normalize, IsTheSameHoweverThePartsAreJoined) {
  const std::string parts[] = {"a",      "\u0301", "\u0323", "\u1100", "\u1161",
                               "\u11A8", "\uAC00", "\u00C5", "\u0344", "z"};
  for (const NormalizationForm form : kForms)
    for (const std::string& a : parts)
      for (const std::string& b : parts)
        for (const std::string& c : parts) {
          const std::string once = Normalized(form, a + b + c);
          EXPECT_EQ(Normalized(form, once), once);
          EXPECT_EQ(Normalized(form, a + Normalized(NormalizationForm::kNfd, b + c)), once);
          EXPECT_TRUE(!IsNormalized(form, a + b + c) || once == a + b + c) << a << b << c;
        }
}

TEST(Normalize, TextThatIsNormalizedIsFoundToBe) {
  for (const NormalizationForm form : kForms) {
    EXPECT_TRUE(IsNormalized(form, "Plain ASCII\n"));
    EXPECT_TRUE(IsNormalized(form, "\u4E2D\u6587 \u0416 \U0001F600"));
    EXPECT_TRUE(IsNormalized(form, ""));
  }
  EXPECT_TRUE(IsNormalized(NormalizationForm::kNfc, "\u00E9"));
  EXPECT_FALSE(IsNormalized(NormalizationForm::kNfd, "\u00E9"));
  EXPECT_FALSE(IsNormalized(NormalizationForm::kNfc, "e\u0301"));
  EXPECT_FALSE(IsNormalized(NormalizationForm::kNfd, "a\u0301\u0323"));
}

TEST(Normalize, AppendsToWhatIsThere) {
  std::string out = "e";
  Normalize(NormalizationForm::kNfc, "\u0301", &out);
  EXPECT_EQ(out, "e\u0301");
}

TEST(Normalize, NoTextGrowsBeyondItsBound) {
  for (char32_t code = 0; code < 0x30000; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string utf8;
    if (code < 0x80) {
      utf8 = {static_cast<char>(code)};
    } else if (code < 0x800) {
      utf8 = {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 63))};
    } else if (code < 0x10000) {
      utf8 = {static_cast<char>(0xE0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 63)),
              static_cast<char>(0x80 | (code & 63))};
    } else {
      utf8 = {static_cast<char>(0xF0 | code >> 18), static_cast<char>(0x80 | (code >> 12 & 63)),
              static_cast<char>(0x80 | (code >> 6 & 63)), static_cast<char>(0x80 | (code & 63))};
    }
    for (const NormalizationForm form : kForms) {
      const bool is_compatible = form == NormalizationForm::kNfkc || form == NormalizationForm::kNfkd;
      EXPECT_LE(Normalized(form, utf8).size(), utf8.size() * (is_compatible ? 11 : 3)) << code;
    }
  }
}

// An insertion sort would take minutes.
TEST(Normalize, AMegabyteOfMarksOutOfOrderIsSorted) {
  std::string text = "a", low, high;
  for (int i = 0; i < 500000; ++i) {
    text += "\u0301\u0323";
    low += "\u0323";
    high += "\u0301";
  }
  EXPECT_EQ(Normalized(NormalizationForm::kNfd, text), "a" + low + high);
}

}  // namespace
}  // namespace text
