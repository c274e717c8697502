#include "native/text/bpe.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace text {
namespace {

using Pair = std::pair<std::string, std::string>;

Bpe ModelOf(const std::vector<std::string>& names, const std::vector<Pair>& merges, Bpe::Settings settings = {},
            std::vector<uint32_t> ties = {}) {
  size_t bytes = 0;
  for (const std::string& name : names) bytes += name.size();
  TokenIds ids(names.size(), bytes);
  for (size_t id = 0; id < names.size(); ++id) EXPECT_TRUE(ids.Add(names[id], static_cast<int32_t>(id)));
  std::vector<Bpe::Merge> by_id;
  for (const auto& [left, right] : merges)
    by_id.push_back({*ids.Find(left), *ids.Find(right), *ids.Find(left + right)});
  return Bpe(settings, std::move(ids), by_id, std::move(ties));
}

std::vector<int32_t> Encode(const Bpe& model, const std::string& text, uint32_t step = 1 << 20) {
  std::vector<int32_t> tokens;
  WordCache cache;
  BpeEncoder encoder(model);
  encoder.Begin(text);
  for (;;) {
    Slice slice(Slice::Clock::time_point::min(), step);
    const auto state = encoder.Continue(&cache, &slice, SIZE_MAX, &tokens);
    EXPECT_NE(state, BpeEncoder::State::kFull);
    if (state == BpeEncoder::State::kDone) return tokens;
  }
}

std::string Spell(const std::vector<std::string>& names, const std::vector<int32_t>& tokens) {
  std::string text;
  for (const int32_t token : tokens) text += names[static_cast<size_t>(token)] + "|";
  return text;
}

// Over and over the leftmost of the pairs that rank lowest.
std::string PlainMerge(const std::string& text, const std::map<Pair, size_t>& ranks) {
  std::vector<std::string> word;
  for (const char letter : text) word.emplace_back(1, letter);
  for (;;) {
    size_t best = SIZE_MAX, at = 0;
    for (size_t i = 0; i + 1 < word.size(); ++i) {
      const auto found = ranks.find({word[i], word[i + 1]});
      if (found != ranks.end() && found->second < best) best = found->second, at = i;
    }
    if (best == SIZE_MAX) break;
    word[at] += word[at + 1];
    word.erase(word.begin() + static_cast<ptrdiff_t>(at) + 1);
  }
  std::string spelled;
  for (const std::string& part : word) spelled += part + "|";
  return spelled;
}

// Merges of random tokens, in an order that no training would give.
struct RandomModel {
  explicit RandomModel(std::mt19937* random) {
    for (const char* letter : {"a", "b", "c", "d"}) names.emplace_back(letter);
    std::set<std::string> taken(names.begin(), names.end());
    for (int i = 0; i < 40; ++i) {
      const Pair merge{names[(*random)() % names.size()], names[(*random)() % names.size()]};
      if (merge.first.size() + merge.second.size() > 12) continue;
      if (taken.insert(merge.first + merge.second).second) names.push_back(merge.first + merge.second);
      if (ranks.emplace(merge, 0).second) merges.push_back(merge);
    }
    std::shuffle(merges.begin(), merges.end(), *random);
    for (size_t rank = 0; rank < merges.size(); ++rank) ranks[merges[rank]] = rank;
  }
  std::vector<std::string> names;
  std::vector<Pair> merges;
  std::map<Pair, size_t> ranks;
};

TEST(Bpe, MergesShortAndLongWordsAsThePlainWay) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    const RandomModel model(&random);
    const Bpe bpe = ModelOf(model.names, model.merges);
    std::string text;
    for (size_t i = 1 + random() % (round % 2 == 0 ? 30 : 300); i > 0; --i)
      text += static_cast<char>('a' + random() % 4);
    EXPECT_EQ(Spell(model.names, Encode(bpe, text)), PlainMerge(text, model.ranks)) << text;
  }
}

TEST(Bpe, TakesTheLeftmostOfTheMergesThatRankAlike) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    RandomModel model(&random);
    std::vector<uint32_t> ties;
    for (size_t rank = 0; rank < model.merges.size(); ++rank) {
      ties.push_back(ties.empty() ? 0 : ties.back() + (random() % 4 == 0 ? 1 : 0));
      model.ranks[model.merges[rank]] = ties.back();
    }
    const Bpe bpe = ModelOf(model.names, model.merges, {}, ties);
    std::string text;
    for (size_t i = 1 + random() % (round % 2 == 0 ? 30 : 300); i > 0; --i)
      text += static_cast<char>('a' + random() % 4);
    EXPECT_EQ(Spell(model.names, Encode(bpe, text)), PlainMerge(text, model.ranks)) << text;
  }
}

TEST(Bpe, GivesTheSameTokensHoweverOftenItStops) {
  std::mt19937 random(2);
  const RandomModel model(&random);
  const Bpe bpe = ModelOf(model.names, model.merges);
  std::string text;
  for (int i = 0; i < 2000; ++i) text += static_cast<char>('a' + random() % 4);
  const auto tokens = Encode(bpe, text);
  for (const uint32_t step : {1, 2, 3, 7, 100}) EXPECT_EQ(Encode(bpe, text, step), tokens);
}

TEST(Bpe, MergesAMillionEqualLettersInOneWord) {
  const Bpe bpe = ModelOf({"a", "aa", "aaaa"}, {{"a", "a"}, {"aa", "aa"}});
  EXPECT_EQ(Encode(bpe, std::string(1'000'002, 'a')).size(), 250'001u);
}

TEST(Bpe, DoesNotMergeALongWordThatCannotFit) {
  const Bpe bpe = ModelOf({"a", "aa", "aaaa"}, {{"a", "a"}, {"aa", "aa"}});
  const std::string text(4'000'000, 'a');
  for (const size_t limit : {999'998, 999'999, 1'000'000}) {
    std::vector<int32_t> tokens;
    WordCache cache;
    BpeEncoder encoder(bpe);
    encoder.Begin(text);
    Slice slice(Slice::Clock::time_point::max());
    const auto state = encoder.Continue(&cache, &slice, limit, &tokens);
    EXPECT_EQ(state, limit < 1'000'000 ? BpeEncoder::State::kFull : BpeEncoder::State::kDone);
    EXPECT_EQ(tokens.size(), limit < 1'000'000 ? 0u : 1'000'000u);
  }
}

TEST(Bpe, FusesUnknownCharactersAndLetsBytesOvertakeThem) {
  Bpe::Settings settings;
  settings.unk_token = "?";
  EXPECT_EQ(Encode(ModelOf({"?", "a"}, {}, settings), "xyaz"), (std::vector<int32_t>{0, 0, 1, 0}));
  settings.fuse_unk = true;
  EXPECT_EQ(Encode(ModelOf({"?", "a"}, {}, settings), "xyaz"), (std::vector<int32_t>{0, 1, 0}));
  settings.byte_fallback = true;
  EXPECT_EQ(Encode(ModelOf({"?", "a", "<0x78>"}, {}, settings), "yxza"), (std::vector<int32_t>{2, 0, 1}));
}

TEST(Bpe, KeepsNoWordThatEndsInAnUnknownCharacterForTheSameWordWithout) {
  Bpe::Settings settings;
  settings.unk_token = "?";
  const Bpe bpe = ModelOf({"?", "a", "b", "c", "ab", "abc"}, {{"a", "b"}, {"ab", "c"}}, settings);
  WordCache cache;
  BpeEncoder encoder(bpe);
  std::vector<int32_t> tokens;
  for (const char* piece : {"abcx", "abc", "abcx"}) {
    Slice slice(Slice::Clock::time_point::max());
    encoder.Begin(piece);
    EXPECT_EQ(encoder.Continue(&cache, &slice, SIZE_MAX, &tokens), BpeEncoder::State::kDone);
  }
  EXPECT_EQ(tokens, (std::vector<int32_t>{5, 0, 5, 5, 0}));
}

}  // namespace
}  // namespace text
