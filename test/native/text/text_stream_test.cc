#include "native/text/text_stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace text {
namespace {

constexpr char kReplacement[] = "\xEF\xBF\xBD";

std::shared_ptr<const Vocabulary> VocabularyOf(const std::vector<std::string>& tokens,
                                               const std::vector<uint8_t>& special = {},
                                               LeadingSpace leading_space = LeadingSpace::kKeep) {
  std::vector<uint8_t> bytes;
  std::vector<uint32_t> offsets = {0};
  for (const std::string& token : tokens) {
    bytes.insert(bytes.end(), token.begin(), token.end());
    offsets.push_back(static_cast<uint32_t>(bytes.size()));
  }
  std::vector<uint8_t> all_special = special;
  all_special.resize(tokens.size(), 0);
  return std::make_shared<Vocabulary>(std::move(bytes), std::move(offsets), std::move(all_special), leading_space);
}

// A token for each byte: what a byte-level or byte-fallback vocabulary falls back to.
std::shared_ptr<const Vocabulary> ByteVocabulary() {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  return VocabularyOf(tokens);
}

std::vector<int32_t> ByteTokens(const std::string& text) {
  std::vector<int32_t> tokens;
  for (const char byte : text) tokens.push_back(static_cast<uint8_t>(byte));
  return tokens;
}

std::shared_ptr<const StopStrings> StopsOf(std::vector<std::string> strings) {
  return std::make_shared<StopStrings>(std::move(strings));
}

struct Streamed {
  std::string text;
  std::vector<std::string> pushed;  // what each Push released
  std::optional<StopMatch> match;
  size_t tokens = 0;  // of the output: all, or up to the match
};

Streamed Stream(TextStream stream, const std::vector<std::vector<int32_t>>& steps) {
  Streamed streamed;
  for (const std::vector<int32_t>& step : steps) {
    std::string out = "of another sequence";
    const size_t before = out.size();
    streamed.match = stream.Push(step.data(), step.size(), &out);
    EXPECT_EQ(out.substr(0, before), "of another sequence");
    streamed.pushed.push_back(out.substr(before));
    streamed.text += streamed.pushed.back();
    streamed.tokens += streamed.match ? streamed.match->tokens : step.size();
    if (streamed.match) return streamed;
  }
  stream.Finish(&streamed.text);
  return streamed;
}

std::vector<std::vector<int32_t>> OneByOne(const std::vector<int32_t>& tokens) {
  std::vector<std::vector<int32_t>> steps;
  for (const int32_t token : tokens) steps.push_back({token});
  return steps;
}

TEST(TextStream, GivesACharacterWhenItsLastTokenComes) {
  TextStream stream(ByteVocabulary(), {nullptr, SpecialTokens::kSkip});
  const Streamed streamed = Stream(std::move(stream), OneByOne(ByteTokens("a\xE6\x97\xA5z")));
  EXPECT_EQ(streamed.pushed, (std::vector<std::string>{"a", "", "", "\xE6\x97\xA5", "z"}));
}

TEST(TextStream, EndsAnUnfinishedCharacterAsAReplacement) {
  TextStream stream(ByteVocabulary(), {nullptr, SpecialTokens::kSkip});
  EXPECT_EQ(Stream(std::move(stream), {ByteTokens("a\xE6\x97")}).text, std::string("a") + kReplacement);
}

TEST(TextStream, GivesNoTextForIdsOutsideTheVocabulary) {
  TextStream stream(VocabularyOf({"a"}), {nullptr, SpecialTokens::kSkip});
  EXPECT_EQ(Stream(std::move(stream), {{0, 1, -1, INT32_MAX, INT32_MIN, 0}}).text, "aa");
}

TEST(TextStream, LeavesOutSpecialTokensUnlessTheyAreKept) {
  const auto vocabulary = VocabularyOf({"a", "<end>", "b"}, {0, 1, 0});
  EXPECT_EQ(Stream(TextStream(vocabulary, {nullptr, SpecialTokens::kSkip}), {{0, 1, 2}}).text, "ab");
  EXPECT_EQ(Stream(TextStream(vocabulary, {nullptr, SpecialTokens::kKeep}), {{0, 1, 2}}).text, "a<end>b");
}

TEST(TextStream, ShowsTheSpecialTokensThatAreNamedAndNoOther) {
  const auto vocabulary = VocabularyOf({"a", "<end>", "<call>"}, {0, 1, 1});
  EXPECT_EQ(Stream(TextStream(vocabulary, {nullptr, SpecialTokens::kSkip, {2}}), {{0, 1, 2, 0}}).text, "a<call>a");
}

TEST(TextStream, StripsOneSpaceFromTheFirstTextOnly) {
  const auto vocabulary = VocabularyOf({"<s>", " a", "", " "}, {1, 0, 0, 0}, LeadingSpace::kStrip);
  const auto text = [&](SpecialTokens special_tokens, const std::vector<int32_t>& tokens) {
    return Stream(TextStream(vocabulary, {nullptr, special_tokens}), OneByOne(tokens)).text;
  };
  EXPECT_EQ(text(SpecialTokens::kSkip, {1, 1}), "a a");
  EXPECT_EQ(text(SpecialTokens::kSkip, {0, 2, 1, 1}), "a a") << "what gives no text is not the first text";
  EXPECT_EQ(text(SpecialTokens::kSkip, {3, 3, 1}), "  a");
  EXPECT_EQ(text(SpecialTokens::kKeep, {0, 1}), "<s> a");
}

TEST(TextStream, HoldsBackTheStartOfAStopStringAndReleasesItWhenItGoesOnDifferently) {
  TextStream stream(VocabularyOf({"x", "\n", "\nU", "se", "d"}),
                    {StopsOf({"\n\nUser:", "\nUse!"}), SpecialTokens::kSkip});
  const Streamed streamed = Stream(std::move(stream), OneByOne({0, 1, 2, 3, 4}));
  EXPECT_EQ(streamed.pushed, (std::vector<std::string>{"x", "", "", "", "\n\nUsed"}));
  EXPECT_FALSE(streamed.match);
}

TEST(TextStream, HoldsBackTheLongestEndThatStartsAStopStringAndNoMore) {
  TextStream stream(ByteVocabulary(), {StopsOf({"aab"}), SpecialTokens::kSkip});
  const Streamed streamed = Stream(std::move(stream), OneByOne(ByteTokens("aaab")));
  EXPECT_EQ(streamed.pushed, (std::vector<std::string>{"", "", "a", ""}));
  ASSERT_TRUE(streamed.match);
  EXPECT_EQ(streamed.match->stop_index, 0u);
}

TEST(TextStream, ReleasesWhatItHeldBackWhenTheSequenceEnds) {
  TextStream stream(ByteVocabulary(), {StopsOf({"User:"}), SpecialTokens::kSkip});
  const Streamed streamed = Stream(std::move(stream), {ByteTokens("a Use\xE6")});
  EXPECT_EQ(streamed.pushed, std::vector<std::string>{"a "});
  EXPECT_EQ(streamed.text, std::string("a Use") + kReplacement);
}

TEST(TextStream, CountsTheTokensOfThePushUpToTheOneThatCompletesTheStopString) {
  TextStream stream(VocabularyOf({"ab", "cd", "ef"}), {StopsOf({"bc"}), SpecialTokens::kSkip});
  const Streamed streamed = Stream(std::move(stream), {{2, 2}, {2, 0, 1, 2, 2}});
  EXPECT_EQ(streamed.text, "efefefa") << "the rest of the completing token is trimmed too";
  ASSERT_TRUE(streamed.match);
  EXPECT_EQ(streamed.match->tokens, 3u);
}

TEST(TextStream, TakesTheStopStringThatIsCompleteFirstAndOfSeveralTheLongest) {
  const auto stop = [&](std::vector<std::string> strings) {
    return Stream(TextStream(ByteVocabulary(), {StopsOf(std::move(strings)), SpecialTokens::kSkip}),
                  {ByteTokens("xabcdef")});
  };
  const Streamed first = stop({"abcd", "bc"});
  EXPECT_EQ(first.text, "xa");
  EXPECT_EQ(first.match->stop_index, 1u);
  const Streamed longest = stop({"c", "abc", "bc"});
  EXPECT_EQ(longest.text, "x");
  EXPECT_EQ(longest.match->stop_index, 1u);
  EXPECT_EQ(stop({"bc", "bc"}).match->stop_index, 0u) << "the first of equal ones";
}

// "abababab" token by token, with the stop string "bab".
Streamed StreamWithMinTokens(size_t min_tokens, size_t step) {
  std::vector<std::vector<int32_t>> steps;
  for (const int32_t token : ByteTokens("abababab")) {
    if (steps.empty() || steps.back().size() == step) steps.emplace_back();
    steps.back().push_back(token);
  }
  return Stream(TextStream(ByteVocabulary(), {StopsOf({"bab"}), SpecialTokens::kSkip}, min_tokens), steps);
}

TEST(TextStream, EndsAtNoStopStringThatIsCompleteBeforeSoManyTokens) {
  for (const size_t step : {1, 2, 3, 8}) {
    for (const auto& [min_tokens, tokens] : {std::pair<size_t, size_t>{0, 4}, {4, 4}, {5, 6}, {6, 6}, {7, 8}, {8, 8}}) {
      const Streamed streamed = StreamWithMinTokens(min_tokens, step);
      ASSERT_TRUE(streamed.match.has_value()) << min_tokens;
      EXPECT_EQ(streamed.tokens, tokens) << min_tokens;
      EXPECT_EQ(streamed.text, std::string("abababab").substr(0, tokens - 3)) << min_tokens;
    }
    const Streamed whole = StreamWithMinTokens(9, step);
    EXPECT_FALSE(whole.match.has_value());
    EXPECT_EQ(whole.text, "abababab");
  }
}

TEST(TextStream, EndsAtNoNameOfALeftOutTokenBeforeSoManyTokens) {
  const auto vocabulary = VocabularyOf({"a", "<end>"}, {0, 1});
  for (const auto& [min_tokens, tokens] : {std::pair<size_t, size_t>{2, 2}, {3, 4}}) {
    const Streamed streamed = Stream(TextStream(vocabulary, {StopsOf({"<end>"}), SpecialTokens::kSkip}, min_tokens),
                                     {{0}, {1}, {0}, {1}, {0}});
    ASSERT_TRUE(streamed.match.has_value());
    EXPECT_EQ(streamed.tokens, tokens);
  }
}

TEST(TextStream, KeepsTheFirstSpaceOfATextThatGoesOnFromOther) {
  const auto vocabulary = VocabularyOf({"<s>", " a", "", " "}, {1, 0, 0, 0}, LeadingSpace::kStrip);
  const auto text = [&](SpecialTokens special_tokens, const std::vector<int32_t>& prompt) {
    TextStream stream(vocabulary, {StopsOf({" a a"}), special_tokens});
    stream.ContinueFrom(prompt.data(), prompt.size());
    return Stream(std::move(stream), OneByOne({1, 2, 1, 1})).text;
  };
  EXPECT_EQ(text(SpecialTokens::kSkip, {0, 1}), "") << "the stop string is found with its space";
  EXPECT_EQ(text(SpecialTokens::kSkip, {0, 2}), "a") << "the prompt has no text";
  EXPECT_EQ(text(SpecialTokens::kSkip, {}), "a");
  EXPECT_EQ(text(SpecialTokens::kKeep, {0}), "") << "special tokens are text here";
}

TEST(TextStream, MatchesInTheTextWithoutTheSpecialTokensThatAreLeftOut) {
  const auto vocabulary = VocabularyOf({"U", "<end>", "V"}, {0, 1, 0});
  const Streamed streamed = Stream(TextStream(vocabulary, {StopsOf({"UV", "x"}), SpecialTokens::kSkip}), {{0, 1}, {2}});
  ASSERT_TRUE(streamed.match);
  EXPECT_EQ(streamed.text, "");
}

TEST(TextStream, MatchesInTheTextWithTheSpecialTokensThatAreLeftOut) {
  const auto vocabulary = VocabularyOf({"a", "\n", "<end>", "b", "bc"}, {0, 0, 1, 0, 0});
  const auto stream = [&](const std::vector<std::string>& stops, const std::vector<int32_t>& tokens) {
    return Stream(TextStream(vocabulary, {StopsOf(stops), SpecialTokens::kSkip}), OneByOne(tokens));
  };
  const Streamed alone = stream({"b", "<end>"}, {0, 1, 2, 3});
  EXPECT_EQ(alone.text, "a\n");
  ASSERT_TRUE(alone.match);
  EXPECT_EQ(alone.match->stop_index, 1u);
  EXPECT_EQ(alone.tokens, 3u);

  const Streamed between = stream({"\n<end>b"}, {0, 1, 2, 4, 0});
  EXPECT_EQ(between.pushed, (std::vector<std::string>{"a", "", "", ""})) << "what it begins with is held back";
  EXPECT_EQ(between.tokens, 4u);

  const Streamed near_miss = stream({"\n<end>b"}, {0, 1, 2, 0, 1, 2});
  EXPECT_EQ(near_miss.pushed, (std::vector<std::string>{"a", "", "", "\na", "", ""}));
  EXPECT_EQ(near_miss.text, "a\na\n");
  EXPECT_FALSE(near_miss.match);

  EXPECT_EQ(stream({"<end><end>"}, {0, 2, 2}).text, "a");
  EXPECT_EQ(stream({"n"}, {0, 2, 3}).text, "a") << "a part of the name";
}

TEST(TextStream, MatchesAReplacementCharacter) {
  TextStream stream(ByteVocabulary(), {StopsOf({kReplacement}), SpecialTokens::kSkip});
  const Streamed streamed = Stream(std::move(stream), OneByOne(ByteTokens("a\xE6\x97z")));
  EXPECT_EQ(streamed.text, "a");
  ASSERT_TRUE(streamed.match);
  EXPECT_EQ(streamed.tokens, 4u) << "the z shows that the character will not be finished";
}

TEST(TextStream, EndsBeforeAStopStringThatAnUnfinishedCharacterCompletes) {
  TextStream stream(ByteVocabulary(), {StopsOf({std::string("b") + kReplacement}), SpecialTokens::kSkip});
  EXPECT_EQ(Stream(std::move(stream), OneByOne(ByteTokens("ab\xE6\x97"))).text, "a");
}

// The definition of a stop, over the whole text at once: ends[i] is how long the text is after token i.
Streamed StopPlainly(const std::string& text, const std::vector<size_t>& ends, const std::vector<std::string>& stops) {
  for (size_t end = 1; end <= text.size(); ++end) {
    std::optional<size_t> found;
    for (size_t i = 0; i < stops.size(); ++i) {
      const std::string& stop = stops[i];
      if (stop.size() > end || text.compare(end - stop.size(), stop.size(), stop) != 0) continue;
      if (!found || stop.size() > stops[*found].size()) found = i;
    }
    if (!found) continue;
    size_t token = 0;
    while (ends[token] < end) ++token;
    return {text.substr(0, end - stops[*found].size()), {}, StopMatch{*found, 0}, token + 1};
  }
  return {text, {}, std::nullopt, ends.size()};
}

TEST(TextStream, FindsTheSameStopHoweverTheTextIsCutIntoTokensAndTheTokensIntoPushes) {
  std::mt19937 random(7);
  // Few different characters, one of them of two bytes, so that stop strings overlap themselves and each other.
  const std::vector<std::string> letters = {"a", "a", "a", "b", "\xC3\xA9"};
  const auto word = [&](size_t size) {
    std::string text;
    for (; size > 0; --size) text += letters[random() % letters.size()];
    return text;
  };
  size_t matches = 0;
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::string> stops;
    for (size_t i = 1 + random() % 3; i > 0; --i) stops.push_back(word(1 + random() % 10));
    std::string text = word(random() % 12);
    for (size_t i = random() % 6; i > 0; --i) {  // near misses: whole characters that a stop string starts with
      const std::string& stop = stops[random() % stops.size()];
      size_t size = random() % (stop.size() + 1);
      if (size > 0 && stop[size - 1] == '\xC3') --size;
      text += stop.substr(0, size);
    }

    std::vector<std::string> pieces;  // the tokens of this round's vocabulary, in the order of the text
    std::vector<size_t> ends;
    std::vector<std::vector<int32_t>> steps;
    for (size_t at = 0; at < text.size();) {
      pieces.push_back(text.substr(at, 1 + random() % 4));
      at += pieces.back().size();
      ends.push_back(at);
      if (steps.empty() || random() % 2 == 0) steps.emplace_back();
      steps.back().push_back(static_cast<int32_t>(pieces.size() - 1));
    }

    const Streamed expected = StopPlainly(text, ends, stops);
    const Streamed streamed = Stream(TextStream(VocabularyOf(pieces), {StopsOf(stops), SpecialTokens::kSkip}), steps);
    const std::string shown = testing::PrintToString(text) + " stops " + testing::PrintToString(stops);
    ASSERT_EQ(streamed.text, expected.text) << shown;
    ASSERT_EQ(streamed.tokens, expected.tokens) << shown;
    ASSERT_EQ(streamed.match.has_value(), expected.match.has_value()) << shown;
    if (!expected.match) continue;
    ++matches;
    ASSERT_EQ(streamed.match->stop_index, expected.match->stop_index) << shown;
  }
  EXPECT_GT(matches, 5000u);
}

// The same where some tokens are left out of the text: a stop string is in the text, or in that with all tokens.
struct WithHidden {
  std::string shown, all;
  std::vector<size_t> shown_before;  // by place in `all`: bytes of `shown` before it
};

Streamed StopWithHidden(const std::vector<std::string>& pieces, const std::vector<uint8_t>& special,
                        const std::vector<std::string>& stops) {
  WithHidden text;
  for (size_t token = 0; token < pieces.size(); ++token) {
    for (const char byte : pieces[token]) {
      text.shown_before.push_back(text.shown.size());
      text.all += byte;
      if (special[token] == 0) text.shown += byte;
      std::optional<size_t> found;
      size_t cut = 0;
      const auto look = [&](const std::string& in, bool is_shown) {
        for (size_t i = 0; i < stops.size(); ++i) {
          const std::string& stop = stops[i];
          if (stop.size() > in.size() || in.compare(in.size() - stop.size(), stop.size(), stop) != 0) continue;
          if (found && stop.size() <= stops[*found].size()) continue;
          found = i;
          cut = is_shown ? in.size() - stop.size() : text.shown_before[in.size() - stop.size()];
        }
      };
      if (special[token] == 0) look(text.shown, true);
      if (!found) look(text.all, false);
      if (found) return {text.shown.substr(0, cut), {}, StopMatch{*found, 0}, token + 1};
    }
  }
  return {text.shown, {}, std::nullopt, pieces.size()};
}

TEST(TextStream, FindsTheSameStopHoweverItIsCutWhereTokensAreLeftOut) {
  std::mt19937 random(5);
  size_t matches = 0, across = 0;
  for (int round = 0; round < 20000; ++round) {
    const auto word = [&](size_t size) {
      std::string text;
      for (; size > 0; --size) text += "aab<"[random() % 4];
      return text;
    };
    std::vector<std::string> stops;
    for (size_t i = 1 + random() % 3; i > 0; --i) stops.push_back(word(1 + random() % 6));
    std::vector<std::string> pieces;
    std::vector<uint8_t> special;
    std::vector<std::vector<int32_t>> steps;
    for (size_t i = random() % 12; i > 0; --i) {
      special.push_back(random() % 4 == 0 ? 1 : 0);
      pieces.push_back(word(1 + random() % 3));
      if (steps.empty() || random() % 2 == 0) steps.emplace_back();
      steps.back().push_back(static_cast<int32_t>(pieces.size() - 1));
    }
    const Streamed expected = StopWithHidden(pieces, special, stops);
    const Streamed streamed =
        Stream(TextStream(VocabularyOf(pieces, special), {StopsOf(stops), SpecialTokens::kSkip}), steps);
    const std::string shown =
        testing::PrintToString(pieces) + testing::PrintToString(special) + " stops " + testing::PrintToString(stops);
    ASSERT_EQ(streamed.text, expected.text) << shown;
    ASSERT_EQ(streamed.tokens, expected.tokens) << shown;
    ASSERT_EQ(streamed.match.has_value(), expected.match.has_value()) << shown;
    if (!expected.match) continue;
    ASSERT_EQ(streamed.match->stop_index, expected.match->stop_index) << shown;
    ++matches;
    across += special[expected.tokens - 1];
  }
  EXPECT_GT(matches, 5000u);
  EXPECT_GT(across, 500u);
}

TEST(TextStream, NeverReleasesPartOfAStopStringOrOfACharacter) {
  std::mt19937 random(11);
  const std::string stop =
      "\xC3\xA9\xC3\xA9"
      "a";
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (size_t size = random() % 12; size > 0; --size) text += random() % 3 == 0 ? "a" : "\xC3\xA9";
    const Streamed streamed =
        Stream(TextStream(ByteVocabulary(), {StopsOf({stop}), SpecialTokens::kSkip}), OneByOne(ByteTokens(text)));
    std::string released;
    for (size_t i = 0; i < streamed.pushed.size(); ++i) {
      released += streamed.pushed[i];
      // Withheld is the longest end of the whole characters so far that starts the stop string, and no more.
      if (streamed.match && i + 1 == streamed.pushed.size()) break;
      std::string whole = text.substr(0, i + 1);
      if (whole.back() == '\xC3') whole.pop_back();
      size_t held = std::min(whole.size(), stop.size() - 1);
      while (whole.compare(whole.size() - held, held, stop, 0, held) != 0) --held;
      ASSERT_EQ(released, whole.substr(0, whole.size() - held)) << testing::PrintToString(text);
    }
  }
}

TEST(Vocabulary, RefusesPartsThatDoNotFitEachOther) {
  const auto make = [](std::vector<uint32_t> offsets, std::vector<uint8_t> special) {
    return Vocabulary({'a', 'b'}, std::move(offsets), std::move(special), LeadingSpace::kKeep);
  };
  EXPECT_NO_THROW(make({0, 1, 2}, {0, 0}));
  EXPECT_THROW(make({}, {}), std::invalid_argument);
  EXPECT_THROW(make({0, 1, 2}, {0}), std::invalid_argument);
  EXPECT_THROW(make({0, 2, 1}, {0, 0}), std::invalid_argument);
  EXPECT_THROW(make({0, 1, 3}, {0, 0}), std::invalid_argument);
}

TEST(StopStrings, RefusesAnEmptyOne) { EXPECT_THROW(StopStrings({"a", ""}), std::invalid_argument); }

}  // namespace
}  // namespace text
