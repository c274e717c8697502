// A draft model on the GPU, beside the model that it drafts for. Each test is skipped without a GPU.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "both_executors.h"
#include "gpu_test.h"

namespace embedded::cuda {
namespace {

class CudaDraftModel : public GpuTest {
 protected:
  // The model of kHalf, with one of `draft` that drafts.
  Both Open(const Shape& draft) {
    ModelOf(draft).Write(engine_dir_);
    model_.size = sizeof(model_);
    model_.engine_dir = engine_dir_.c_str();
    decoding_.size = sizeof(decoding_);
    decoding_.draft_model = &model_;
    return Both(kHalf, [this](ExecutorConfig* config) { config->decoding = &decoding_; });
  }

  const TemporaryDirectory directory_;
  const std::string engine_dir_ = directory_.path();
  ExecutorDraftModel model_{};
  ExecutorDecodingConfig decoding_{};
};

// A step of the model draws 32 tokens: three drafts for each sequence.
TEST_F(CudaDraftModel, OfTheSameModelNearlyAllItsDraftsComeTrue) {
  Both both = Open(kHalf);
  RunAndExpectGreedy(&both, SeveralRequests(8, both.vocab_size(), 60));
  const ExecutorStats stats = both.cuda().stats();
  EXPECT_GT(stats.draft_tokens, 200u);
  EXPECT_GT(stats.draft_tokens_accepted, stats.draft_tokens * 9 / 10);
  EXPECT_EQ(stats.kv_blocks_used, 0u);
}

TEST_F(CudaDraftModel, OfAnotherModelItChangesNoText) {
  Shape other = kHalf;
  other.hidden_size = 64;
  other.heads = 2;
  Both both = Open(other);
  RunAndExpectGreedy(&both, SeveralRequests(8, both.vocab_size(), 60));
  const ExecutorStats stats = both.cuda().stats();
  EXPECT_GT(stats.draft_tokens, stats.draft_tokens_accepted);
}

TEST_F(CudaDraftModel, ALongPromptIsComputedOverSeveralStepsOfTheDraftModel) {
  Both both = Open(kHalf);
  std::vector<TestRequest> requests;
  for (uint32_t id = 1; id <= 3; ++id)
    requests.emplace_back(id, RandomPrompt(1500 + static_cast<int>(id), both.vocab_size(), id), 40);
  RunAndExpectGreedy(&both, requests);
  EXPECT_GT(both.cuda().stats().draft_tokens_accepted, 60u);
}

TEST_F(CudaDraftModel, ItsMemoryIsCountedWithTheOthers) {
  Both alone(kHalf), both = Open(kHalf);
  EXPECT_EQ(both.cuda().info().weight_bytes, 2 * alone.cuda().info().weight_bytes);
  EXPECT_EQ(both.cuda().info().kv_cache_bytes / both.cuda().info().kv_blocks,
            2 * alone.cuda().info().kv_cache_bytes / alone.cuda().info().kv_blocks);
  EXPECT_GT(both.cuda().stats().device_memory_bytes,
            both.cuda().info().weight_bytes + both.cuda().info().kv_cache_bytes);
}

}  // namespace
}  // namespace embedded::cuda
