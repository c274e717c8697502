#include "native/text/grapheme.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace text {
namespace {

std::vector<std::u32string> Clusters(const std::u32string& text) {
  std::vector<std::u32string> clusters;
  GraphemeReader reader;
  for (const char32_t code : text) {
    if (reader.Begins(code) && !clusters.empty()) {
      reader = GraphemeReader();
      reader.Begins(code);
      clusters.emplace_back();
    }
    if (clusters.empty()) clusters.emplace_back();
    clusters.back() += code;
  }
  return clusters;
}

TEST(GraphemeReader, KeepsTogetherWhatIsOneCharacterToAReader) {
  for (const char32_t* cluster :
       {U"a", U"\r\n", U"e\u0301\u0323", U"\u1100\u1161\u11A8", U"\uAC00\u11A8", U"\uAC01\u11A8",
        U"\U0001F1E9\U0001F1EA", U"\U0001F468\u200D\U0001F469\u200D\U0001F466", U"\U0001F44D\U0001F3FD",
        U"\u2764\uFE0F", U"\u0600\u0661", U"\u0E01\u0E33", U"\u0915\u093E", U"a\u200D",
        U"\U0001F3F4\U000E0067\U000E007F"})
    EXPECT_EQ(Clusters(cluster).size(), 1u) << Clusters(cluster)[0].size();
}

TEST(GraphemeReader, PartsTheRest) {
  const auto parts = [](const std::u32string& text) { return Clusters(text).size(); };
  EXPECT_EQ(parts(U"ab"), 2u);
  EXPECT_EQ(parts(U"\n\r"), 2u);
  EXPECT_EQ(parts(U"\r\u0301"), 2u);
  EXPECT_EQ(parts(U"\u200B\u0301"), 2u) << "nothing joins a control character";
  EXPECT_EQ(parts(U"\U0001F1E9\U0001F1EA\U0001F1EB"), 2u) << "flags are of two";
  EXPECT_EQ(parts(U"a\u200D\U0001F466"), 2u) << "a joiner joins pictographs";
  EXPECT_EQ(parts(U"\U0001F468\u200D\u0301\U0001F466"), 2u);
  EXPECT_EQ(parts(U"\u11A8\u1100"), 2u);
  EXPECT_EQ(parts(U"\uAC01\u1161"), 2u);
}

}  // namespace
}  // namespace text
