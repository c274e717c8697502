// kv_cache.dtype KV_DTYPE_INT8 on the GPU against the CPU executor, which rounds by the same rule. Each test is skipped without a GPU.
#include <cstdio>

#include "both_executors.h"
#include "gpu_test.h"

namespace embedded::cuda {
namespace {

// Of what a config is changed to, and of what it then points to.
class Int8Config {
 public:
  Int8Config() {
    kv_.size = sizeof(kv_);
    kv_.set = KV_CACHE_DTYPE;
    kv_.dtype = KV_DTYPE_INT8;
  }
  ExecutorKvCacheConfig* kv() { return &kv_; }
  Both::Change change(uint32_t max_num_tokens = 1024) {
    return [this, max_num_tokens](ExecutorConfig* config) {
      config->kv_cache = &kv_;
      config->set |= CONFIG_MAX_NUM_TOKENS;
      config->max_num_tokens = max_num_tokens;
    };
  }

 private:
  ExecutorKvCacheConfig kv_{};
};

// Where the GPU rounds an activation otherwise than the CPU does, a code may be the next one too: the bound is that of elements
// (model_runner_test.cc) and as much as int8 itself costs at most (cpu/int8_kv_cache_test.cc).
constexpr double kInt8Loss = 0.03;

class Int8KvShapes : public GpuTestWith<Shape> {};

TEST_P(Int8KvShapes, PromptsAndDecodeHaveTheLogitsOfTheCpusInt8) {
  Int8Config gpu, of_cpu;
  Both both(GetParam(), gpu.change(), of_cpu.change());
  ASSERT_EQ(both.cuda().code(), EXECUTOR_OK);
  const size_t width = static_cast<size_t>(both.vocab_size());
  for (const int prompt_tokens : {1, 64, 65, 700}) {
    const std::vector<int32_t> prompt = RandomPrompt(prompt_tokens, both.vocab_size(), 3);
    TestRequest request(1, prompt, 70);
    request.output.flags = OUTPUT_RETURN_CONTEXT_LOGITS | OUTPUT_RETURN_GENERATION_LOGITS;
    const TestResult result = both.cuda().Run(request);
    ASSERT_EQ(result.finish, FINISH_LENGTH) << (result.error ? result.error->message : both.cuda().message());
    std::vector<int32_t> all = prompt;
    all.insert(all.end(), result.tokens.begin(), result.tokens.end());
    const std::vector<float> expected = both.CpuLogits(all);
    const std::vector<float> of_prompt(expected.begin(), expected.begin() + prompt.size() * width);
    const std::vector<float> of_output(expected.begin() + (prompt.size() - 1) * width, expected.end() - width);
    const double prefill = WorstError(result.context_logits, of_prompt, width);
    const double decode = WorstError(result.generation_logits, of_output, width);
    std::printf("%s, %d tokens: worst relative error %.2g in the prompt, %.2g in decode\n", GetParam().name,
                prompt_tokens, prefill, decode);
    EXPECT_LT(prefill, 3 * both.tolerance() + kInt8Loss);
    EXPECT_LT(decode, 3 * both.tolerance() + kInt8Loss);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Int8KvShapes,
                         testing::Values(kHalf, kWithAllThereIs,
                                         Shape{"bf16_dim128", "bfloat16", 256, 4, 1, 128, 512, 1000, false},
                                         Shape{"fp16_dim256", "float16", 512, 2, 1, 256, 512, 503, true},
                                         Shape{"fp32_dim24", "float32", 48, 4, 2, 24, 70, 101, true}),
                         [](const auto& info) { return std::string(info.param.name); });

class Int8KvCache : public GpuTest {
 protected:
  Both& Load(uint32_t max_num_tokens = 1024) {
    both_ = std::make_unique<Both>(kHalf, gpu_.change(max_num_tokens), of_cpu_.change());
    both_->set_tolerance(both_->tolerance() + kInt8Loss);
    return *both_;
  }

  Int8Config gpu_, of_cpu_;
  std::unique_ptr<Both> both_;
};

TEST_F(Int8KvCache, AnExecutorHoldsNearlyTwiceTheTokens) {
  Both elements(kHalf);
  Both& int8 = Load();
  const auto bytes_of = [](Both& both) {
    const ExecutorInfo& info = both.cuda().info();
    return info.kv_cache_bytes / (uint64_t{info.kv_blocks} * info.tokens_per_block);
  };
  EXPECT_EQ(bytes_of(elements), uint64_t{2} * 2 * 2 * 2 * 64) << "two layers of two heads, keys and values";
  EXPECT_EQ(bytes_of(int8), uint64_t{2} * 2 * 2 * (64 + 4));
}

TEST_F(Int8KvCache, PromptsInChunksBesideDecodeGiveTheLikeliestTokens) {
  Both& both = Load(48);
  for (const int count : {1, 24}) RunAndExpectGreedy(&both, SeveralRequests(count, both.vocab_size(), 40));
}

TEST_F(Int8KvCache, BlocksThatWereInHostMemoryGiveTheLikeliestTokens) {
  gpu_.kv()->set |= KV_CACHE_MAX_TOKENS | KV_CACHE_HOST_BYTES;
  gpu_.kv()->max_tokens = 64 * 8;
  gpu_.kv()->host_bytes = uint64_t{64} << 20;
  Both& both = Load();
  uint64_t id = 0;
  for (const uint32_t cached_tokens : {0u, 199u})
    for (uint32_t seed = 0; seed < 6; ++seed) {
      const std::vector<int32_t> prompt = RandomPrompt(200, both.vocab_size(), seed);
      const TestResult result = both.cuda().Run(TestRequest(++id, prompt, 20));
      EXPECT_EQ(result.details->cached_tokens, cached_tokens) << id;
      both.ExpectGreedy(prompt, result.tokens, "request " + std::to_string(id));
    }
}

TEST_F(Int8KvCache, ForksOfAPromptGiveTheLikeliestTokens) {
  Both& both = Load();
  TestRequest request(1, RandomPrompt(100, both.vocab_size(), 4), 30);
  request.sampling.set |= SAMPLING_N;
  request.sampling.n = 3;
  const TestResult result = both.cuda().Run(request);
  for (uint32_t i = 0; i < 3; ++i)
    both.ExpectGreedy(request.tokens, result.sequences.at(i).tokens, "fork " + std::to_string(i));
}

TEST_F(Int8KvCache, DraftsLeaveTheLikeliestTokens) {
  Both& both = Load();
  TestRequest request(1, RandomPrompt(100, both.vocab_size(), 4), 60);
  request.draft_tokens = both.cuda().Run(request).tokens;
  request.draft_tokens[20] = 7;
  request.id = 2;
  both.ExpectGreedy(request.tokens, both.cuda().Run(request).tokens, "with drafts");
  EXPECT_GT(both.cuda().stats().draft_tokens_accepted, 0u);
}

}  // namespace
}  // namespace embedded::cuda
