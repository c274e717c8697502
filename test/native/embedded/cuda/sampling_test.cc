// The GPU's draws against the CPU executor's own Sampler, token for token.
#include "native/embedded/cuda/sampling.h"

#include <cmath>
#include <limits>
#include <string>

#include "gpu_test.h"
#include "native/embedded/cpu/dispatch.h"
#include "native/embedded/cpu/sampler.h"
#include "native/embedded/random.h"

namespace embedded::cuda {
namespace {

using cpu::Sampler;
using executor::TokenLogprob;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Result {
  std::vector<DrawnToken> drawn;
  std::vector<int32_t> tokens;
  std::vector<TopLogprob> top;
};

// `logits` [any, vocab_size]; the rows' logits_row and processed_row point into it, the latter at the same matrix.
Result Draw(const std::vector<float>& logits, int vocab_size, const std::vector<SamplingRow>& rows,
            int max_top_logprobs = 0) {
  DeviceArray<float> device_logits(logits);
  DeviceArray<SamplingRow> device_rows(rows);
  DeviceArray<DrawnToken> drawn(rows.size());
  DeviceArray<int32_t> tokens(rows.size());
  DeviceArray<TopLogprob> top(rows.size() * static_cast<size_t>(max_top_logprobs));
  DeviceArray<uint8_t> workspace(SamplingWorkspaceBytes(static_cast<int>(rows.size()), vocab_size));
  SampleTokens({static_cast<int>(rows.size()), vocab_size, vocab_size, max_top_logprobs},
               {device_logits.get(), device_logits.get(), device_rows.get(), drawn.get(), tokens.get(), top.get(),
                workspace.get()},
               nullptr);
  return {drawn.Read(), tokens.Read(), top.Read()};
}

SamplingParams ParamsOf(const SamplingRow& row) {
  SamplingParams params;
  params.temperature = row.temperature;
  params.top_k = row.top_k;
  params.top_p = row.top_p;
  params.min_p = row.min_p;
  params.seed = row.seed;
  return params;
}

Sampler CpuSampler(int vocab_size) { return Sampler(*cpu::SupportedKernels().front(), vocab_size); }

// All rows draw from logits row 0.
void ExpectTheCpusTokens(const std::vector<float>& logits, const std::vector<SamplingRow>& rows,
                         const std::string& what) {
  const int vocab_size = static_cast<int>(logits.size());
  const Result result = Draw(logits, vocab_size, rows);
  Sampler sampler = CpuSampler(vocab_size);
  int different = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const double uniform = Uniform(rows[i].seed, rows[i].sequence, rows[i].position);
    const int32_t expected = sampler.Sample(logits.data(), ParamsOf(rows[i]), uniform);
    different += result.drawn[i].token != expected;
    if (result.drawn[i].token != expected && different < 4)
      ADD_FAILURE() << what << ", row " << i << ": " << result.drawn[i].token << ", the CPU " << expected;
    EXPECT_EQ(result.tokens[i], std::max(expected, 0));
  }
  EXPECT_EQ(different, 0) << what << ": of " << rows.size();
}

std::vector<SamplingRow> RowsOf(const SamplingRow& like, int count) {
  std::vector<SamplingRow> rows(static_cast<size_t>(count), like);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].seed = 0x123456789ABCDEFULL + i % 3;
    rows[i].sequence = static_cast<uint32_t>(i % 5);
    rows[i].position = i;
  }
  return rows;
}

struct Options {
  const char* name;
  float temperature;
  int top_k;
  float top_p, min_p;
};
constexpr Options kOptions[] = {{"greedy", 0, 0, 1, 0},
                                {"plain", 1, 0, 1, 0},
                                {"hot", 3, 0, 1, 0},
                                {"cold", 0.05f, 0, 1, 0},
                                {"tiny temperature", 1e-30f, 0, 1, 0},
                                {"top-k 1", 1, 1, 1, 0},
                                {"top-k 40", 1, 40, 1, 0},
                                {"top-k 5000", 1, 5000, 1, 0},
                                {"top-k all", 1, 1 << 22, 1, 0},
                                {"top-p 0.9", 1, 0, 0.9f, 0},
                                {"top-p 0.01", 1, 0, 0.01f, 0},
                                {"top-p 0.9999", 1, 0, 0.9999f, 0},
                                {"min-p 0.05", 1, 0, 1, 0.05f},
                                {"min-p 1", 1, 0, 1, 1},
                                {"k and p", 0.8f, 50, 0.95f, 0},
                                {"k, p and min-p", 1.3f, 100, 0.9f, 0.1f},
                                {"p and min-p", 1, 0, 0.99f, 0.02f},
                                {"k and min-p", 1, 7, 1, 0.3f}};

class SamplingTest : public GpuTestWith<int> {};  // vocab_size
INSTANTIATE_TEST_SUITE_P(VocabSizes, SamplingTest, testing::Values(1, 2, 31, 257, 1000, 4097, 49152, 128256),
                         [](const auto& info) { return std::to_string(info.param); });

TEST_P(SamplingTest, EqualLogitsGiveTheCpusTokenWithEveryOption) {
  const size_t size = static_cast<size_t>(GetParam());
  for (const float spread : {0.2f, 2.5f, 12.0f})
    for (const Options& options : kOptions) {
      SamplingRow row;
      row.temperature = options.temperature;
      row.top_k = options.top_k;
      row.top_p = options.top_p;
      row.min_p = options.min_p;
      ExpectTheCpusTokens(RandomFloats(size, 5, spread), RowsOf(row, 48),
                          std::string(options.name) + ", spread " + std::to_string(spread));
    }
}

TEST_P(SamplingTest, EqualLogitsAreTakenInTheOrderOfTokenIds) {
  std::vector<float> logits(static_cast<size_t>(GetParam()));
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i * 7 % 5);  // a fifth has each value
  for (const Options& options : kOptions) {
    SamplingRow row;
    row.temperature = options.temperature;
    row.top_k = options.top_k;
    row.top_p = options.top_p;
    row.min_p = options.min_p;
    ExpectTheCpusTokens(logits, RowsOf(row, 32), options.name);
  }
}

TEST_P(SamplingTest, RuledOutTokensAreNeverDrawn) {
  std::vector<float> logits = RandomFloats(static_cast<size_t>(GetParam()), 9, 2);
  for (size_t i = 0; i < logits.size(); ++i)
    if (i % 4 != 0) logits[i] = -kInfinity;
  for (const Options& options : kOptions) {
    SamplingRow row;
    row.temperature = options.temperature;
    row.top_k = options.top_k;
    row.top_p = options.top_p;
    row.min_p = options.min_p;
    ExpectTheCpusTokens(logits, RowsOf(row, 32), options.name);
  }
}

TEST_P(SamplingTest, LogprobsAndTopLogprobsAreThoseOfTheLogitsAsTheyAre) {
  const int vocab_size = GetParam();
  std::vector<float> logits = RandomFloats(static_cast<size_t>(vocab_size), 2, 3);
  for (size_t i = 0; i + 3 < logits.size(); i += 3) logits[i] = logits[i + 3];  // ties
  const int wanted = std::min(vocab_size, 20), most = std::min(vocab_size, kMaxTopLogprobs);
  std::vector<SamplingRow> rows = RowsOf({}, 4);
  rows[0].logprob = LogprobWish::kDrawnToken;
  rows[1].temperature = 0;
  rows[1].logprob = LogprobWish::kDrawnToken;
  rows[1].top_logprobs = wanted;
  rows[2].top_logprobs = most;
  const Result result = Draw(logits, vocab_size, rows, most);
  Sampler sampler = CpuSampler(vocab_size);
  for (const size_t i : {0u, 1u})
    EXPECT_NEAR(result.drawn[i].logprob, sampler.Logprob(logits.data(), result.drawn[i].token), 1e-6);
  const std::vector<TokenLogprob> expected = sampler.TopLogprobs(logits.data(), most);
  for (const auto& [row, count] : {std::pair<size_t, int>{1, wanted}, {2, most}})
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
      const TopLogprob got = result.top[row * static_cast<size_t>(most) + i];
      ASSERT_EQ(got.token, expected[i].token) << "place " << i;
      EXPECT_NEAR(got.logprob, expected[i].logprob, 1e-5);
    }
}

TEST_P(SamplingTest, TopLogprobsOfProcessedLogitsAreListedByTheseWithTheLogprobsOfTheOthers) {
  const size_t vocab_size = static_cast<size_t>(GetParam());
  std::vector<float> logits = RandomFloats(2 * vocab_size, 2, 3);  // the second row stands for the processed one
  const size_t wanted = std::min<size_t>(vocab_size, 20);
  for (size_t i = vocab_size; i < 2 * vocab_size; i += 2) logits[i] = -kInfinity;
  std::vector<SamplingRow> rows = RowsOf({}, 2);
  for (SamplingRow& row : rows) {
    row.temperature = 0;
    row.top_logprobs = static_cast<int32_t>(wanted);
  }
  rows[1].processed_row = 1;
  rows[1].top_of = TopOf::kProcessed;
  const Result result = Draw(logits, GetParam(), rows, static_cast<int>(wanted));
  Sampler sampler = CpuSampler(GetParam());
  std::vector<TokenLogprob> scratch;
  const std::vector<TokenLogprob> expected =
      executor::TopLogprobs(logits.data() + vocab_size, GetParam(), static_cast<uint32_t>(wanted), 0, &scratch);
  for (size_t i = 0; i < wanted; ++i) {
    EXPECT_EQ(result.top[i].score, result.top[i].logprob) << "where nothing was processed";
    const TopLogprob got = result.top[wanted + i];
    EXPECT_EQ(got.score, expected[i].logprob);
    if (!std::isfinite(got.score)) continue;
    EXPECT_EQ(got.token, expected[i].token);
    EXPECT_NEAR(got.logprob, sampler.Logprob(logits.data(), got.token), 1e-5);
  }
}

class SamplingRows : public GpuTest {};

TEST_F(SamplingRows, OfOneStepMayWantDifferentThingsAndShareLogits) {
  constexpr int kVocab = 1000;
  const std::vector<float> logits = RandomFloats(5 * kVocab, 4, 3);
  std::vector<SamplingRow> rows;
  for (size_t i = 0; i < 40; ++i) {
    SamplingRow row;
    const Options& options = kOptions[i % std::size(kOptions)];
    row.logits_row = static_cast<int32_t>(i * 3 % 5);
    row.temperature = options.temperature;
    row.top_k = options.top_k;
    row.top_p = options.top_p;
    row.min_p = options.min_p;
    row.position = i;
    if (i % 7 == 3) row.logits_row = -1;  // padding
    rows.push_back(row);
  }
  DeviceArray<int32_t> history(8);
  rows[0].history_end = history.get() + 2;
  const Result result = Draw(logits, kVocab, rows);
  Sampler sampler = CpuSampler(kVocab);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].logits_row < 0) {
      EXPECT_EQ(result.tokens[i], -1) << "padding is not written";  // 0xFFFFFFFF
      continue;
    }
    EXPECT_EQ(result.drawn[i].token, sampler.Sample(logits.data() + rows[i].logits_row * kVocab, ParamsOf(rows[i]),
                                                    Uniform(rows[i].seed, rows[i].sequence, rows[i].position)))
        << kOptions[i % std::size(kOptions)].name;
  }
  const std::vector<int32_t> after = history.Read();
  EXPECT_EQ(after[2], result.drawn[0].token);
  EXPECT_EQ(after[1], -1);
  EXPECT_EQ(after[3], -1);
}

TEST_F(SamplingRows, WithoutAFiniteLogitSayWhoseFaultItIs) {
  constexpr int kVocab = 5000;
  const float nan = std::nanf("");
  std::vector<float> logits(5 * kVocab, -kInfinity);          // 0: nothing
  for (int i = 0; i < kVocab; ++i) logits[kVocab + i] = nan;  // 1: NaN alone
  for (int i = 0; i < kVocab; ++i) logits[2 * kVocab + i] = 1.0f;
  logits[2 * kVocab + 77] = nan;  // 2: one NaN
  for (int i = 0; i < kVocab; ++i) logits[3 * kVocab + i] = 1.0f;
  logits[3 * kVocab + 4000] = kInfinity;                           // 3: infinity
  for (int i = 0; i < kVocab; ++i) logits[4 * kVocab + i] = 1.0f;  // 4: fine
  Sampler sampler = CpuSampler(kVocab);
  for (const float temperature : {0.0f, 1.0f}) {
    std::vector<SamplingRow> rows;
    for (int i = 0; i < 5; ++i) {
      SamplingRow row;
      row.logits_row = i;
      row.temperature = temperature;
      rows.push_back(row);
    }
    rows.push_back(rows[4]);  // the processors left nothing of what was fine
    rows[5].processed_row = 0;
    rows.push_back(rows[0]);  // nothing was fine before the processors either
    rows[6].processed_row = 0;
    const Result result = Draw(logits, kVocab, rows);
    for (size_t i = 0; i < 5; ++i) {
      const int32_t expected = sampler.Sample(logits.data() + i * kVocab, ParamsOf(rows[i]), Uniform(0, 0, 0));
      EXPECT_EQ(result.drawn[i].token, expected) << i << " at temperature " << temperature;
      EXPECT_EQ(result.drawn[i].status, expected < 0 ? SamplingStatus::kNoFiniteLogit : SamplingStatus::kDrawn);
    }
    EXPECT_EQ(result.drawn[5].status, SamplingStatus::kNothingLeft);
    EXPECT_EQ(result.drawn[6].status, SamplingStatus::kNoFiniteLogit);
    EXPECT_EQ(result.drawn[6].token, -1);
    EXPECT_EQ(result.tokens[6], 0) << "the next step may read it";
  }
}

}  // namespace
}  // namespace embedded::cuda
