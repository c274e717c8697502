#include "native/text/tokenizer.h"

#include <gtest/gtest.h>

#include "native/text/tokenizer_error.h"

namespace text {
namespace {

constexpr char kJson[] = R"({
  "added_tokens": [
    {"id": 7, "content": "<s>", "special": true, "lstrip": true},
    {"id": 8, "content": "É", "normalized": true}
  ],
  "normalizer": {"type": "Sequence", "normalizers": [
    {"type": "NFC"}, {"type": "Prepend", "prepend": "_"}, {"type": "Replace", "pattern": {"String": " "}, "content": "_"}
  ]},
  "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
    {"type": "Split", "pattern": {"Regex": "[0-9]+"}, "behavior": "MergedWithPrevious", "invert": false},
    {"type": "Split", "pattern": {"String": "_"}, "behavior": "MergedWithNext", "invert": false}
  ]},
  "post_processor": {"type": "TemplateProcessing", "special_tokens": {"<s>": {"id": "<s>", "ids": [7]}},
    "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]},
  "decoder": {"type": "Fuse"},
  "model": {"type": "BPE", "unk_token": "?", "vocab": {"?": 0, "a": 1, "b": 2, "_": 3, "ab": 4, "_ab": 5, "1": 6},
    "merges": [["a", "b"], ["_", "ab"]]}
})";

std::shared_ptr<const Tokenizer> Make() {
  return std::make_shared<const Tokenizer>(ReadTokenizerFile("tokenizer.json", kJson));
}

std::vector<int32_t> Encode(const std::string& text, uint32_t step = 1 << 20, const EncodeOptions& options = {}) {
  EncodeTask task(Make(), text, options);
  for (;;) {
    Slice slice(Slice::Clock::time_point::min(), step);
    if (task.Run(&slice)) return task.TakeTokens();
  }
}

TEST(Tokenizer, NormalizesCutsAndMergesWhatIsBetweenAddedTokens) {
  EXPECT_EQ(Encode("ab ab11"), (std::vector<int32_t>{7, 5, 5, 6, 6}));
  EXPECT_EQ(Encode("ab  <s>E\u0301"
                   "ab"),
            (std::vector<int32_t>{7, 5, 7, 8, 4}));
}

TEST(Tokenizer, GivesTheSameTokensHoweverOftenItStops) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += i % 11 == 0 ? "<s>ab" : i % 7 == 0 ? "E\u0301 1" : "ab 1x";
  const auto tokens = Encode(text);
  for (const uint32_t step : {1, 2, 5, 1000}) EXPECT_EQ(Encode(text, step), tokens);
}

TEST(Tokenizer, StopsAtATextOfMoreTokensThanItMayHave) {
  EncodeOptions options;
  options.max_tokens = 4;
  EXPECT_EQ(Encode("ab ab ab", 1, options).size(), 4u);
  EXPECT_THROW(Encode("ab ab ab ab", 1, options), TokenizerError);
  EXPECT_THROW(Encode("<s><s><s><s>", 1, options), TokenizerError);
  options.max_tokens = 0;
  EXPECT_THROW(Encode("", 1, options), TokenizerError);
}

TEST(Tokenizer, KnowsByItsBytesThatATextCannotFitOnlyWhereNothingVanishes) {
  EXPECT_TRUE(Make()->MayFit(1'000'000, 1)) << "<s> takes any number of spaces along";
}

}  // namespace
}  // namespace text
