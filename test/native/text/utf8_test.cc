#include "native/text/utf8.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace text {
namespace {

constexpr char kReplacement[] = "\xEF\xBF\xBD";

std::string Decode(const std::vector<std::string>& pieces) {
  Utf8Decoder decoder;
  std::string out;
  for (const std::string& piece : pieces) decoder.Append(piece, &out);
  decoder.Finish(&out);
  return out;
}

// The definition, written without state: at each place the longest prefix of any well-formed character is taken (table
// 3-7 of the Unicode standard), and becomes itself where it is whole, else U+FFFD; a byte that starts none does too.
std::string DecodePlainly(const std::string& bytes) {
  struct Range {
    int low, high;
  };
  const std::vector<std::vector<Range>> well_formed = {
      {{0x00, 0x7F}},
      {{0xC2, 0xDF}, {0x80, 0xBF}},
      {{0xE0, 0xE0}, {0xA0, 0xBF}, {0x80, 0xBF}},
      {{0xE1, 0xEC}, {0x80, 0xBF}, {0x80, 0xBF}},
      {{0xED, 0xED}, {0x80, 0x9F}, {0x80, 0xBF}},
      {{0xEE, 0xEF}, {0x80, 0xBF}, {0x80, 0xBF}},
      {{0xF0, 0xF0}, {0x90, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}},
      {{0xF1, 0xF3}, {0x80, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}},
      {{0xF4, 0xF4}, {0x80, 0x8F}, {0x80, 0xBF}, {0x80, 0xBF}},
  };
  std::string out;
  size_t at = 0;
  while (at < bytes.size()) {
    size_t taken = 1;
    bool whole = false;
    for (const std::vector<Range>& row : well_formed) {
      size_t size = 0;
      while (size < row.size() && at + size < bytes.size()) {
        const int byte = static_cast<uint8_t>(bytes[at + size]);
        if (byte < row[size].low || byte > row[size].high) break;
        ++size;
      }
      if (size == 0) continue;  // the rows' first bytes are disjoint
      taken = size;
      whole = size == row.size();
    }
    out += whole ? bytes.substr(at, taken) : kReplacement;
    at += taken;
  }
  return out;
}

TEST(Utf8Decoder, GivesTextBackWhereverItIsCut) {
  const std::string text = "a\xC3\xA9\xE6\x97\xA5\xF0\x9F\x98\x80\x7Fz";  // 1, 2, 3 and 4 bytes
  for (size_t first = 0; first <= text.size(); ++first) {
    for (size_t second = first; second <= text.size(); ++second) {
      EXPECT_EQ(Decode({text.substr(0, first), text.substr(first, second - first), text.substr(second)}), text);
    }
  }
}

TEST(Utf8Decoder, GivesNoPartOfACharacterBeforeItIsWhole) {
  Utf8Decoder decoder;
  std::string out;
  decoder.Append("\xF0\x9F\x98", &out);
  EXPECT_EQ(out, "");
  decoder.Append("\x80", &out);
  EXPECT_EQ(out, "\xF0\x9F\x98\x80");
}

TEST(Utf8Decoder, ReplacesAMaximalSubpartByOneCharacter) {
  EXPECT_EQ(Decode({"\xF0\x9F\x98"}), kReplacement);
  EXPECT_EQ(Decode({"\xF0\x9F", "a"}), std::string(kReplacement) + "a");
  EXPECT_EQ(Decode({"\xE6\x97", "\xE6\x97\xA5"}), std::string(kReplacement) + "\xE6\x97\xA5");
  // The example of the Unicode standard, table 3-11: 61 F1 80 80 E1 80 C2 62 80 63 80 BF 64.
  const std::string fffd = kReplacement;
  EXPECT_EQ(Decode({"a\xF1\x80\x80\xE1\x80\xC2"
                    "b\x80"
                    "c\x80\xBF"
                    "d"}),
            "a" + fffd + fffd + fffd + "b" + fffd + "c" + fffd + fffd + "d");
  EXPECT_EQ(Decode({"\xED\xA0\x80"}), fffd + fffd + fffd) << "a surrogate is no character";
  EXPECT_EQ(Decode({"\xC0\x80"}), fffd + fffd) << "an overlong form is no character";
  EXPECT_EQ(Decode({"\xF4\x90\x80\x80"}), fffd + fffd + fffd + fffd) << "nothing is above U+10FFFF";
}

TEST(Utf8Decoder, KeepsAByteOrderMark) {
  EXPECT_EQ(Decode({"\xEF\xBB\xBF", "a"}),
            "\xEF\xBB\xBF"
            "a");
}

TEST(Utf8Decoder, AgreesWithTheDefinitionOnRandomBytesInRandomPieces) {
  std::mt19937 random(1);
  // Bytes at the edges of the ranges, so that characters come about and break off often.
  const std::string bytes =
      "az\x7F\x80\x8F\x90\x9F\xA0\xBF\xC1\xC2\xDF\xE0\xE1\xEC\xED\xEE\xEF\xF0\xF1\xF3\xF4\xF5\xFF";
  for (int round = 0; round < 20000; ++round) {
    std::string whole;
    std::vector<std::string> pieces;
    for (size_t piece = random() % 6; piece > 0; --piece) {
      std::string text;
      for (size_t size = random() % 12; size > 0; --size) text += bytes[random() % bytes.size()];
      whole += text;
      pieces.push_back(std::move(text));
    }
    ASSERT_EQ(Decode(pieces), DecodePlainly(whole)) << testing::PrintToString(whole);
  }
}

TEST(Utf16Length, CountsASurrogatePairForWhatIsAboveTheBasicPlane) {
  EXPECT_EQ(Utf16Length(""), 0u);
  EXPECT_EQ(Utf16Length("abc"), 3u);
  EXPECT_EQ(Utf16Length("\xC3\xA9\xE6\x97\xA5\xEF\xBF\xBD"), 3u);
  EXPECT_EQ(Utf16Length("\xF0\x9F\x98\x80\xF4\x8F\xBF\xBF"), 4u);
}

}  // namespace
}  // namespace text
