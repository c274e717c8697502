#include "native/text/added_tokens.h"

#include <gtest/gtest.h>

#include <random>

#include "native/text/tokenizer_error.h"

namespace text {
namespace {

AddedTokens TokensOf(const std::vector<std::string>& texts) {
  std::vector<AddedToken> tokens;
  for (const std::string& each : texts)
    tokens.push_back({static_cast<int32_t>(tokens.size()), each, false, false, false});
  return AddedTokens(std::move(tokens), 1 << 20);
}

// Ids, and the text between them.
std::vector<std::string> Parts(const AddedTokens& tokens, const std::string& text, uint32_t step = 1 << 20) {
  std::vector<std::string> parts;
  AddedTokenSplitter splitter(tokens, text);
  for (;;) {
    Slice slice(Slice::Clock::time_point::min(), step);
    const auto part = splitter.Next(&slice);
    if (part.state == AddedTokenSplitter::State::kEnd) return parts;
    if (part.state == AddedTokenSplitter::State::kText) parts.push_back(text.substr(part.begin, part.end - part.begin));
    if (part.state == AddedTokenSplitter::State::kToken) parts.push_back("#" + std::to_string(part.id));
  }
}

std::vector<std::string> PlainParts(const std::vector<std::string>& texts, const std::string& text) {
  std::vector<std::string> parts;
  std::string between;
  const auto end_text = [&] {
    if (!between.empty()) parts.push_back(std::move(between));
    between.clear();
  };
  for (size_t at = 0; at < text.size();) {
    size_t longest = texts.size();
    for (size_t i = 0; i < texts.size(); ++i)
      if (text.compare(at, texts[i].size(), texts[i]) == 0 &&
          (longest == texts.size() || texts[i].size() > texts[longest].size()))
        longest = i;
    if (longest == texts.size()) {
      between += text[at++];
      continue;
    }
    end_text();
    parts.push_back("#" + std::to_string(longest));
    at += texts[longest].size();
  }
  end_text();
  return parts;
}

TEST(AddedTokens, FindsWhatBeginsFirstAndOfThoseTheLongest) {
  std::mt19937 random(1);
  const auto letters = [&](size_t least, size_t most) {
    std::string text;
    for (size_t i = least + random() % (most - least + 1); i > 0; --i) text += static_cast<char>('a' + random() % 2);
    return text;
  };
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::string> texts;
    for (size_t i = random() % 6; i > 0; --i) {
      std::string text = letters(1, 6);
      if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(std::move(text));
    }
    const std::string text = letters(0, 40);
    EXPECT_EQ(Parts(TokensOf(texts), text), PlainParts(texts, text)) << text;
  }
}

TEST(AddedTokens, FindsTokensAcrossTheBlocksOfALongText) {
  const std::string token = "<" + std::string(100, 'x') + ">";
  std::string text;
  for (int i = 0; i < 3000; ++i) text += std::string(static_cast<size_t>(i % 7), '.') + token;
  EXPECT_EQ(Parts(TokensOf({token, "<"}), text), PlainParts({token, "<"}, text));
}

TEST(AddedTokens, FindsTheSameHoweverOftenItStops) {
  std::string text;
  for (int i = 0; i < 30000; ++i) text += i % 5 == 0 ? "<ab>" : "ab";
  const AddedTokens tokens = TokensOf({"<ab>", "b<"});
  EXPECT_EQ(Parts(tokens, text, 1), PlainParts({"<ab>", "b<"}, text));
}

TEST(AddedTokens, TakesTimeLinearInTheTextWhateverTheTokens) {
  // From each place a search forwards would read two thousand letters before it knew that only the first is a token.
  std::vector<std::string> texts{"a"};
  for (size_t size = 2; size < 1000; ++size) texts.push_back(std::string(2 * size, 'a') + "b");
  EXPECT_EQ(Parts(TokensOf(texts), std::string(1'000'000, 'a')), std::vector<std::string>(1'000'000, "#0"));
}

TEST(AddedTokens, RefusesTextsThatTakeTooMuchMemory) {
  EXPECT_THROW(AddedTokens({{0, std::string(101, 'a'), false, false, false}}, 100), TokenizerError);
}

}  // namespace
}  // namespace text
