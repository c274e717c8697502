#include "native/embedded/cpu/calibrate.h"

#include <gtest/gtest.h>

#include <utility>

#include "test/native/embedded/tiny_checkpoint.h"

namespace embedded::cpu {
namespace {

using Progress = std::vector<std::pair<int, int>>;

std::vector<InputMaxima> Find(const std::string& dir, const std::vector<std::vector<int32_t>>& texts,
                              size_t group_tokens, Progress* progress) {
  return FindInputMaxima(dir, texts, group_tokens, [&](int done, int total) { progress->push_back({done, total}); });
}

TEST(Calibrate, InputMaximaDoNotDependOnHowTextsAreGrouped) {
  const TemporaryDirectory dir;
  DefaultModel().Write(dir.path());
  const std::vector<std::vector<int32_t>> texts = {{1, 2, 3}, std::vector<int32_t>(40, 7), {}, {5, 4}};
  Progress together, apart;
  const auto expected = Find(dir.path(), texts, 1000, &together);
  const auto found = Find(dir.path(), texts, 4, &apart);
  ASSERT_EQ(found.size(), 2u);
  for (size_t layer = 0; layer < 2; ++layer)
    for (const auto maximum : {&InputMaxima::qkv, &InputMaxima::dense, &InputMaxima::fc, &InputMaxima::proj}) {
      EXPECT_GT(found[layer].*maximum, 0);
      EXPECT_EQ(found[layer].*maximum, expected[layer].*maximum);
    }
  EXPECT_EQ(together, (Progress{{1, 1}}));
  EXPECT_EQ(apart, (Progress{{1, 3}, {2, 3}, {3, 3}}));
}

}  // namespace
}  // namespace embedded::cpu
