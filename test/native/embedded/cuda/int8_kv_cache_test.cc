// kv_cache.dtype KV_DTYPE_INT8 on the GPU against the CPU executor, which rounds by the same rule. Each test is skipped without a GPU.
#include <cmath>
#include <cstdio>
#include <memory>
#include <vector>

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

// The root of the mean square of the differences of all logits, as a part of that of the logits.
double Distance(const std::vector<float>& got, const std::vector<float>& expected) {
  if (got.size() != expected.size()) return std::nan("");
  double difference = 0, norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    difference += (double{got[i]} - expected[i]) * (double{got[i]} - expected[i]);
    norm += double{expected[i]} * expected[i];
  }
  return std::sqrt(difference / norm);
}

class Int8KvShapes : public GpuTestWith<Shape> {};

// A code is another one on the GPU than on the CPU where an activation is rounded otherwise, so that the logits of the two are as far
// apart as either is from those of a cache in floats. How far int8 may take the GPU's from these, the CPU says.
TEST_P(Int8KvShapes, PromptsAndDecodeLoseNoMoreThanTheCpusInt8) {
  Int8Config int8;
  TemporaryDirectory directory;
  ModelOf(GetParam()).Write(directory.path());
  TableClient cpu(directory.path()), cpu_int8(directory.path(), cpu::CpuExecutorTable(), int8.change());
  TableClient cuda(directory.path(), CudaTable()), cuda_int8(directory.path(), CudaTable(), int8.change());
  ASSERT_EQ(cuda_int8.code(), EXECUTOR_OK) << cuda_int8.message();
  const size_t width = static_cast<size_t>(GetParam().vocab_size);
  for (const int prompt_tokens : {65, 700}) {
    const std::vector<int32_t> prompt = RandomPrompt(prompt_tokens, GetParam().vocab_size, 3);
    TestRequest request(1, prompt, 70);
    request.output.flags = OUTPUT_RETURN_CONTEXT_LOGITS | OUTPUT_RETURN_GENERATION_LOGITS;
    const TestResult result = cuda_int8.Run(request);
    ASSERT_EQ(result.finish, FINISH_LENGTH) << (result.error ? result.error->message : cuda_int8.message());
    TestRequest whole(2, prompt, 1);
    whole.tokens.insert(whole.tokens.end(), result.tokens.begin(), result.tokens.end());
    whole.output.flags = OUTPUT_RETURN_CONTEXT_LOGITS;
    const std::vector<float> exact = cpu.Run(whole).context_logits;
    const std::vector<float> of_cpu = cpu_int8.Run(whole).context_logits;
    const std::vector<float> of_elements = cuda.Run(whole).context_logits;
    const auto expect_near = [&](const char* what, const std::vector<float>& got, size_t first) {
      const auto part = [&](const std::vector<float>& logits) {
        const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(first * width);
        return std::vector<float>(begin, begin + static_cast<std::ptrdiff_t>(got.size()));
      };
      const double distance = Distance(got, part(exact)), int8_loss = Distance(part(of_cpu), part(exact)),
                   rounding = Distance(part(of_elements), part(exact));
      std::printf("%s, %s of %d tokens: %.2g; int8 on the CPU %.2g, 16 bits on the GPU %.2g\n", GetParam().name, what,
                  prompt_tokens, distance, int8_loss, rounding);
      EXPECT_LT(distance, 1.5 * std::hypot(int8_loss, rounding)) << what;
    };
    expect_near("the prompt", result.context_logits, 0);
    expect_near("decode behind a prompt", result.generation_logits, prompt.size() - 1);
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
    both_->set_tolerance(0.1);  // codes that differ from the CPU's move logits so far
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
