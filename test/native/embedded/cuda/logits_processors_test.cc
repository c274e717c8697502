// The GPU's processors against the CPU executor's own, bit for bit.
#include "native/embedded/cuda/logits_processors.h"

#include <algorithm>
#include <cmath>

#include "gpu_test.h"
#include "native/embedded/cpu/dispatch.h"
#include "native/embedded/cpu/logits_processors.h"
#include "native/embedded/cpu/sampler.h"

namespace embedded::cuda {
namespace {

// What the host prepares for some rows.
struct Prepared {
  std::vector<ProcessorRow> rows;
  std::vector<DeviceTokenBias> biases;
  std::vector<int32_t> end_ids, bad_word_tokens;
  std::vector<ListSlice> bad_words;

  void Add(const LogitsProcessorParams& params, int32_t logits_row, const int32_t* history, size_t history_tokens) {
    ProcessorRow row;
    row.logits_row = logits_row;
    row.history = history;
    row.history_tokens = static_cast<int32_t>(history_tokens);
    row.repetition_penalty = params.repetition_penalty;
    row.presence_penalty = params.presence_penalty;
    row.frequency_penalty = params.frequency_penalty;
    row.penalized_from = static_cast<int32_t>(params.penalized_from);
    row.no_repeat_ngram = static_cast<int32_t>(params.no_repeat_ngram);
    row.min_length = static_cast<int32_t>(params.min_length);
    std::vector<TokenBias> sorted = params.bias;
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.token < b.token; });
    row.bias = {static_cast<int32_t>(biases.size()), static_cast<int32_t>(sorted.size())};
    for (const TokenBias& bias : sorted) biases.push_back({bias.token, bias.value});
    row.end_ids = {static_cast<int32_t>(end_ids.size()), static_cast<int32_t>(params.end_ids.size())};
    end_ids.insert(end_ids.end(), params.end_ids.begin(), params.end_ids.end());
    row.bad_words = {static_cast<int32_t>(bad_words.size()), static_cast<int32_t>(params.bad_words.size())};
    for (const auto& word : params.bad_words) {
      bad_words.push_back({static_cast<int32_t>(bad_word_tokens.size()), static_cast<int32_t>(word.size())});
      bad_word_tokens.insert(bad_word_tokens.end(), word.begin(), word.end());
    }
    rows.push_back(row);
  }
};

std::vector<LogitsProcessorParams> AllParams() {
  std::vector<LogitsProcessorParams> all(14);
  all[1].bias = {{3, 1.5f}, {0, -100}, {3, 0.1f}, {7, 1e-3f}, {3, -0.7f}};
  all[2].repetition_penalty = 1.3f;
  all[3].presence_penalty = 0.3f;
  all[4].frequency_penalty = -0.7f;
  all[4].penalized_from = 11;
  all[5].no_repeat_ngram = 1;
  all[6].no_repeat_ngram = 3;
  all[7].no_repeat_ngram = 100000;
  all[8].min_length = 1u << 20;
  all[8].end_ids = {2, 5};
  all[9].bad_words = {{4}, {1, 2, 3}, {0, 0}};
  all[10].presence_penalty = 0.1f;
  all[10].frequency_penalty = 0.37f;
  all[10].penalized_from = 1u << 20;
  all[11] = all[2];
  all[11].bias = all[1].bias;
  all[11].presence_penalty = 0.11f;
  all[11].frequency_penalty = 0.37f;
  all[11].penalized_from = 2;
  all[11].no_repeat_ngram = 2;
  all[11].bad_words = all[9].bad_words;
  all[11].min_length = 1;
  all[11].end_ids = {1};
  all[12].is_guided = true;
  all[13] = all[11];
  all[13].is_guided = true;
  return all;
}

class LogitsProcessorsTest : public GpuTestWith<int> {};  // vocab_size
INSTANTIATE_TEST_SUITE_P(VocabSizes, LogitsProcessorsTest, testing::Values(8, 1000, 49152, 128256),
                         [](const auto& info) { return std::to_string(info.param); });

TEST_P(LogitsProcessorsTest, EqualTheCpusBitForBit) {
  const size_t vocab_size = static_cast<size_t>(GetParam());
  const std::vector<float> logits = RandomFloats(2 * vocab_size, 3, 5);
  DeviceArray<float> device_logits(logits);
  for (const size_t history_tokens : {size_t{0}, size_t{1}, size_t{12}, size_t{3000}}) {
    std::mt19937 random(1);
    std::vector<int32_t> history(history_tokens);
    for (int32_t& token : history) token = static_cast<int32_t>(random() % std::min<size_t>(vocab_size, 900));
    if (history_tokens >= 12) std::copy_n(std::vector<int32_t>{1, 2, 5, 1, 2}.begin(), 5, history.end() - 5);
    DeviceArray<int32_t> device_history(history);
    Prepared prepared;
    const std::vector<LogitsProcessorParams> all = AllParams();
    std::vector<uint32_t> mask((vocab_size + 31) / 32);
    for (uint32_t& word : mask) word = static_cast<uint32_t>(random());
    for (size_t i = 0; i < all.size(); ++i) {
      prepared.Add(all[i], static_cast<int32_t>(i % 2), device_history.get(), history_tokens);
      if (all[i].is_guided) prepared.rows.back().mask = {0, static_cast<int32_t>(mask.size())};
    }
    DeviceArray<uint32_t> masks(mask);
    DeviceArray<ProcessorRow> rows(prepared.rows);
    DeviceArray<DeviceTokenBias> biases(prepared.biases);
    DeviceArray<int32_t> end_ids(prepared.end_ids), word_tokens(prepared.bad_word_tokens);
    DeviceArray<ListSlice> words(prepared.bad_words);
    DeviceArray<uint32_t> counts(all.size() * vocab_size);
    DeviceArray<float> processed(all.size() * vocab_size);
    counts.Zero();
    ProcessLogits({static_cast<int>(all.size()), GetParam(), GetParam()},
                  {device_logits.get(), rows.get(), biases.get(), end_ids.get(), words.get(), word_tokens.get(),
                   masks.get(), nullptr, counts.get(), processed.get()},
                  nullptr);
    const std::vector<float> got = processed.Read();
    cpu::LogitsProcessors processors(GetParam());
    for (size_t i = 0; i < all.size(); ++i) {
      const float* expected =
          processors.Apply(logits.data() + i % 2 * vocab_size, all[i], history, all[i].is_guided ? &mask : nullptr);
      EXPECT_EQ(std::memcmp(expected, got.data() + i * vocab_size, vocab_size * sizeof(float)), 0)
          << "processors " << i << ", history of " << history_tokens;
    }
    for (const uint32_t count : counts.Read()) ASSERT_EQ(count, 0u) << "counts are left as they were found";
  }
}

TEST_P(LogitsProcessorsTest, OfLogprobsEqualTheCpus) {
  const size_t vocab_size = static_cast<size_t>(GetParam());
  const std::vector<float> logits = RandomFloats(2 * vocab_size, 3, 5);
  const std::vector<int32_t> history{1, 2, 5, 1, 2};
  const std::vector<LogitsProcessorParams> all = AllParams();
  DeviceArray<float> device_logits(logits);
  DeviceArray<int32_t> device_history(history);
  Prepared prepared;
  for (size_t i = 0; i < 12; ++i) {  // those after it have a mask
    prepared.Add(all[i], static_cast<int32_t>(i % 2), device_history.get(), history.size());
    prepared.rows.back().of_logprobs = i % 3 != 2;
  }
  const size_t count = prepared.rows.size();
  DeviceArray<ProcessorRow> rows(prepared.rows);
  DeviceArray<DeviceTokenBias> biases(prepared.biases);
  DeviceArray<int32_t> end_ids(prepared.end_ids), word_tokens(prepared.bad_word_tokens);
  DeviceArray<ListSlice> words(prepared.bad_words);
  DeviceArray<uint32_t> counts(count * vocab_size);
  DeviceArray<float> processed(count * vocab_size);
  DeviceArray<double> log_sums(count);
  counts.Zero();
  ProcessLogits({static_cast<int>(count), GetParam(), GetParam(), true},
                {device_logits.get(), rows.get(), biases.get(), end_ids.get(), words.get(), word_tokens.get(), nullptr,
                 log_sums.get(), counts.get(), processed.get()},
                nullptr);
  const std::vector<float> got = processed.Read();
  cpu::LogitsProcessors processors(GetParam());
  cpu::Sampler sampler(*cpu::SupportedKernels().front(), GetParam());
  for (size_t i = 0; i < count; ++i) {
    const float* const row = logits.data() + i % 2 * vocab_size;
    const float* const expected =
        processors.Apply(prepared.rows[i].of_logprobs ? sampler.Logprobs(row) : row, all[i], history);
    for (size_t token = 0; token < vocab_size; ++token)
      if (std::isfinite(expected[token]))
        ASSERT_NEAR(got[i * vocab_size + token], expected[token], 1e-5) << "processors " << i << ", token " << token;
      else
        ASSERT_EQ(got[i * vocab_size + token], expected[token]) << "processors " << i << ", token " << token;
  }
}

}  // namespace
}  // namespace embedded::cuda
