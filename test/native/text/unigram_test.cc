#include "native/text/unigram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <random>
#include <string>

#include "native/text/tokenizer_error.h"

namespace text {
namespace {

std::vector<int32_t> Encode(const Unigram& model, const std::string& text, uint32_t step = 1 << 20,
                            size_t limit = SIZE_MAX) {
  std::vector<int32_t> tokens;
  WordCache cache;
  UnigramEncoder encoder(model);
  encoder.Begin(text);
  for (;;) {
    Slice slice(Slice::Clock::time_point::min(), step);
    const auto state = encoder.Continue(&cache, &slice, limit, &tokens);
    if (state == UnigramEncoder::State::kDone) return tokens;
    if (state == UnigramEncoder::State::kFull) return {};
  }
}

// Random tokens of few letters, so that there are many ways to write a text and many ends overlap.
struct RandomModel {
  explicit RandomModel(std::mt19937* random) {
    names = {"<unk>", "a", "b", "c"};
    scores = {0, -5, -5.5, -6};
    while (names.size() < 40) {
      std::string name;
      for (size_t i = 2 + (*random)() % 7; i > 0; --i) name += static_cast<char>('a' + (*random)() % 3);
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      names.push_back(name);
      scores.push_back(-1.0 - static_cast<double>((*random)() % 1000) / 100);
    }
  }
  Unigram Make() const { return Unigram({0, false}, {names.begin(), names.end()}, scores); }

  std::vector<std::string> names;
  std::vector<double> scores;
};

// The same over the whole text at once: of equal sums that which was reached first.
std::vector<int32_t> PlainBest(const RandomModel& model, const std::string& text) {
  struct Best {
    double score = 0;
    int32_t id = -1;
  };
  std::vector<Best> best(text.size() + 1);
  for (size_t at = 0; at < text.size(); ++at) {
    std::map<size_t, int32_t> found;  // by size
    for (size_t id = 1; id < model.names.size(); ++id)
      if (text.compare(at, model.names[id].size(), model.names[id]) == 0)
        found[model.names[id].size()] = static_cast<int32_t>(id);
    for (const auto [size, id] : found) {
      const double score = best[at].score + model.scores[static_cast<size_t>(id)];
      if (best[at + size].id < 0 || score > best[at + size].score) best[at + size] = {score, id};
    }
  }
  std::vector<int32_t> tokens;
  for (size_t end = text.size(); end > 0; end -= model.names[static_cast<size_t>(tokens.back())].size())
    tokens.push_back(best[end].id);
  std::reverse(tokens.begin(), tokens.end());
  return tokens;
}

std::string RandomText(std::mt19937* random, size_t size) {
  std::string text;
  for (; size > 0; --size) text += static_cast<char>('a' + (*random)() % 3);
  return text;
}

TEST(Unigram, TakesTheTokensWhoseScoresSumUpHighest) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    const RandomModel model(&random);
    const std::string text = RandomText(&random, 1 + random() % 200);
    EXPECT_EQ(Encode(model.Make(), text), PlainBest(model, text)) << text;
  }
}

TEST(Unigram, TakesTheSameTokensWhereItForgetsTheBeginOfALongText) {
  std::mt19937 random(2);
  for (int round = 0; round < 5; ++round) {
    const RandomModel model(&random);
    const std::string text = RandomText(&random, 300'000);
    EXPECT_EQ(Encode(model.Make(), text), PlainBest(model, text));
  }
}

TEST(Unigram, GivesTheSameTokensHoweverOftenItStops) {
  std::mt19937 random(3);
  const RandomModel model(&random);
  const Unigram unigram = model.Make();
  const std::string text = RandomText(&random, 3000);
  const auto tokens = Encode(unigram, text);
  for (const uint32_t step : {1, 2, 3, 7, 100}) EXPECT_EQ(Encode(unigram, text, step), tokens);
}

TEST(Unigram, EncodesAMillionLettersWhoseTokensAreOnlyCertainAtTheEnd) {
  const Unigram unigram({std::nullopt, false}, {"a", "aa"}, {-3, -3});
  EXPECT_EQ(Encode(unigram, std::string(1'000'001, 'a')).size(), 500'001u);
}

TEST(Unigram, FusesCharactersThatNoTokenHas) {
  const Unigram unigram({0, false}, {"?", "a", "xy"}, {0, -1, -2});
  EXPECT_EQ(Encode(unigram, "x\xC3\xA9\x61zz"), (std::vector<int32_t>{0, 1, 0}));
  EXPECT_EQ(Encode(unigram, "axya"), (std::vector<int32_t>{1, 2, 1}));
}

TEST(Unigram, SpellsCharactersThatNoTokenHasByTheirBytesIfAllOfThoseAreTokens) {
  const Unigram unigram({0, true}, {"?", "a", "<0xC3>", "<0xA9>"}, {0, -1, 0, 0});
  EXPECT_EQ(Encode(unigram, "\xC3\xA9\x61"), (std::vector<int32_t>{2, 3, 1}));
  EXPECT_EQ(Encode(unigram, "\xC3\xA9\xC3\xA8\x61"), (std::vector<int32_t>{0, 1}));
  EXPECT_TRUE(unigram.MayShrink());
}

TEST(Unigram, OfTwoTokensThatAreCalledTheSameTheLastCounts) {
  EXPECT_EQ(Encode(Unigram({std::nullopt, false}, {"a", "a"}, {-1, -2}), "a"), (std::vector<int32_t>{1}));
}

TEST(Unigram, RefusesACharacterThatNoTokenHasWithoutAnUnknownToken) {
  EXPECT_THROW(Encode(Unigram({std::nullopt, false}, {"a"}, {-1}), "ab"), TokenizerError);
}

TEST(Unigram, StopsAtTheLimit) {
  const Unigram unigram({std::nullopt, false}, {"a"}, {-1});
  EXPECT_EQ(Encode(unigram, "aaa", 1, 3).size(), 3u);
  EXPECT_TRUE(Encode(unigram, "aaaa", 1, 3).empty());
}

}  // namespace
}  // namespace text
