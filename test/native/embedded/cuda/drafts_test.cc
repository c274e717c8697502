// Speculative decoding on the GPU against the CPU executor without it, on the same weights. Each test is skipped without a GPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "../table_client.h"
#include "gpu_model.h"
#include "gpu_test.h"
#include "native/embedded/cpu/executor_table.h"

extern "C" const ExecutorTable* executor_table(uint32_t abi_version);

namespace embedded::cuda {
namespace {

using Tokens = std::vector<int32_t>;
constexpr int kVocabSize = 503;

TinyModel Model() { return GpuModel("float16").Fill(); }

class CudaDrafts : public GpuTest {
 protected:
  void SetUp() override {
    GpuTest::SetUp();
    if (IsSkipped()) return;
    Model().Write(directory_.path());
    cpu_ = std::make_unique<TableClient>(directory_.path());
    cuda_ = std::make_unique<TableClient>(directory_.path(), executor_table(EXECUTOR_ABI_VERSION),
                                          [this](ExecutorConfig* config) { config->decoding = &decoding_; });
    ASSERT_EQ(cuda_->code(), EXECUTOR_OK) << cuda_->message();
  }

  // Each token is, by the CPU's logits, the likeliest one after those before it, or nearly so.
  void ExpectGreedy(const TestRequest& request, const Tokens& tokens) {
    TestRequest whole(1000 + request.id, request.tokens, 1);
    whole.tokens.insert(whole.tokens.end(), tokens.begin(), tokens.end());
    whole.output.flags = OUTPUT_RETURN_CONTEXT_LOGITS;
    const std::vector<float> logits = cpu_->Run(whole).context_logits;
    for (size_t i = 0; i < tokens.size(); ++i) {
      const float* row = logits.data() + (request.tokens.size() + i - 1) * kVocabSize;
      double squares = 0;
      for (int j = 0; j < kVocabSize; ++j) squares += double{row[j]} * row[j];
      ASSERT_GE(row[tokens[i]], *std::max_element(row, row + kVocabSize) - 0.01 * std::sqrt(squares / kVocabSize))
          << "request " << request.id << ", token " << i;
    }
  }

  ExecutorPromptLookup lookup_{sizeof(lookup_), 0, 0, 0};
  ExecutorDecodingConfig decoding_{sizeof(decoding_), DECODING_AUTO, nullptr, nullptr, {}, 0, &lookup_, nullptr};
  TemporaryDirectory directory_;
  std::unique_ptr<TableClient> cpu_, cuda_;
};

// Beside prompts that are computed meanwhile, over several sizes of decode steps.
TEST_F(CudaDrafts, TextsAreGreedyWhateverComesTrueOfTheDrafts) {
  std::vector<TestRequest> requests;
  for (uint32_t id = 1; id <= 12; ++id) {
    TestRequest& request = requests.emplace_back(id, RandomPrompt(static_cast<int>(20 * id), kVocabSize, id), 60);
    request.draft_tokens = cpu_->Run(request).tokens;
    if (id % 3 > 0) request.draft_tokens[id] = 7;
  }
  std::vector<TestRequest*> pointers;
  for (TestRequest& request : requests) pointers.push_back(&request);
  ASSERT_EQ(cuda_->Submit(pointers), EXECUTOR_OK);
  cuda_->WaitForEnds(12);
  for (const TestRequest& request : requests) {
    EXPECT_EQ(cuda_->results[request.id].tokens.size(), 60u);
    ExpectGreedy(request, cuda_->results[request.id].tokens);
  }
  const ExecutorStats stats = cuda_->stats();
  EXPECT_GT(stats.draft_tokens_accepted, 100u);
  EXPECT_GT(stats.draft_tokens, stats.draft_tokens_accepted);
  EXPECT_EQ(stats.kv_blocks_used, 0u);
}

TEST_F(CudaDrafts, ADraftThatComesTrueTakesFewSteps) {
  TestRequest request(1, RandomPrompt(50, kVocabSize, 1), 60);
  request.draft_tokens = cuda_->Run(request).tokens;
  const uint64_t steps = cuda_->stats().steps;
  request.id = 2;
  ExpectGreedy(request, cuda_->Run(request).tokens);
  EXPECT_LE(cuda_->stats().steps - steps, 10u);
}

// Its processors look at the history, in which drafts are.
TEST_F(CudaDrafts, PenaltiesAndSeedsSeeTheDraftsBeforeAToken) {
  static const int32_t kTokens[] = {3, 4, 5};
  static const float kBias[] = {40, 40, 40};  // so that the text repeats
  TestRequest request(1, RandomPrompt(50, kVocabSize, 1), 100);
  request.request.logit_bias = {kTokens, kBias, 3};
  request.sampling.set |= SAMPLING_SEED | SAMPLING_FREQUENCY_PENALTY | SAMPLING_NO_REPEAT_NGRAM_SIZE;
  request.sampling.temperature = 1;
  request.sampling.seed = 5;
  request.sampling.frequency_penalty = 0.05f;
  request.sampling.no_repeat_ngram_size = 7;
  const Tokens tokens = cuda_->Run(request).tokens;
  EXPECT_GT(cuda_->stats().draft_tokens_accepted, 0u);
  for (size_t i = 0; i + 7 <= tokens.size(); ++i)
    for (size_t j = i + 1; j + 7 <= tokens.size(); ++j)
      EXPECT_FALSE(std::equal(tokens.begin() + i, tokens.begin() + i + 7, tokens.begin() + j)) << i << ", " << j;
}

}  // namespace
}  // namespace embedded::cuda
