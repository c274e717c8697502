#include "native/embedded/reasoning.h"

#include <gtest/gtest.h>

#include <string>

namespace embedded {
namespace {

// Tokens 0 to 4.
const TokenBytes kTokens = [] {
  TokenBytes tokens{{}, {0}};
  for (const std::string text : {"hm", "</", "end", ">\n\n", "<begin>"}) {
    tokens.bytes.insert(tokens.bytes.end(), text.begin(), text.end());
    tokens.offsets.push_back(static_cast<uint32_t>(tokens.bytes.size()));
  }
  return tokens;
}();

TEST(Reasoning, EndsWithTheTokenThatCompletesItsEndEvenIfThatHasMore) {
  Reasoning reasoning({{}, {"</end>", "</stop>"}}, &kTokens);
  for (const int32_t token : {0, 1, 1, 2}) EXPECT_TRUE(reasoning.Take(token));
  EXPECT_FALSE(reasoning.is_over());
  EXPECT_TRUE(reasoning.Take(3));
  EXPECT_TRUE(reasoning.is_over());
  EXPECT_FALSE(reasoning.Take(0)) << "it is the grammar's";
}

TEST(Reasoning, TheFirstTokenSaysWhetherThereIsOne) {
  Reasoning reasoning({{4}, {"</end>"}}, &kTokens), other = reasoning;
  EXPECT_TRUE(reasoning.may_begin());
  EXPECT_TRUE(reasoning.Take(4));
  EXPECT_FALSE(reasoning.may_begin());
  EXPECT_FALSE(reasoning.is_over());
  EXPECT_FALSE(other.Take(0));
  EXPECT_TRUE(other.is_over());
}

TEST(Reasoning, TakesTokensWithoutText) {
  Reasoning reasoning({{}, {">"}}, &kTokens);
  for (const int32_t token : {-1, 5, 1000}) EXPECT_TRUE(reasoning.Take(token));
  EXPECT_FALSE(reasoning.is_over());
}

}  // namespace
}  // namespace embedded
