// A request's logits are the same bits whatever runs beside it and however its prompt is cut.
#include <gtest/gtest.h>

#include <cstring>

#include "../table_client.h"
#include "native/embedded/cpu/dispatch.h"
#include "tiny_blocks.h"

namespace embedded::cpu {
namespace {

TinyModel Plain() {
  TinyModel tiny;
  tiny.dtype = "bfloat16";
  tiny.hidden_size = 288;  // more than one sum of 256
  tiny.heads = 6;
  tiny.kv_heads = 2;
  tiny.head_dim = 24;
  return tiny.Fill();
}

TinyModel WithAllThereIs() {
  TinyModel tiny;
  tiny.layers_have = TinyModel::Layers::kWithAllThereIs;
  tiny.max_positions = 64;
  tiny.rotary_scaling = R"({"rope_type": "dynamic", "factor": 4})";
  return tiny.Fill();
}

const TinyModel* model = nullptr;
const TinyModel& Model() { return *model; }

class BatchInvariance : public testing::TestWithParam<TinyModel (*)()> {
 protected:
  void SetUp() override { model = &model_; }

 private:
  TinyModel model_ = GetParam()();
};

TestRequest LogitsRequest(uint64_t id, std::vector<int32_t> prompt, uint32_t max_tokens = 12) {
  TestRequest request(id, std::move(prompt), max_tokens);
  request.output.flags = OUTPUT_RETURN_CONTEXT_LOGITS | OUTPUT_RETURN_GENERATION_LOGITS | OUTPUT_LOGPROBS;
  request.output.top_prompt_logprobs = 2;
  return request;
}

void ExpectSameBits(const TestResult& actual, const TestResult& expected) {
  const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
  };
  ASSERT_FALSE(expected.context_logits.empty());
  EXPECT_EQ(actual.tokens, expected.tokens);
  EXPECT_TRUE(same(actual.context_logits, expected.context_logits));
  EXPECT_TRUE(same(actual.generation_logits, expected.generation_logits));
  EXPECT_TRUE(same(actual.logprobs, expected.logprobs));
  EXPECT_TRUE(same(actual.prompt_logprobs, expected.prompt_logprobs));
  EXPECT_TRUE(same(actual.prompt_top_logprobs, expected.prompt_top_logprobs));
  EXPECT_EQ(actual.prompt_top_tokens, expected.prompt_top_tokens);
}

TestResult Alone(const std::vector<int32_t>& prompt) {
  TableClient client(Model());
  return client.Run(LogitsRequest(1, prompt));
}

const std::vector<int32_t>& LongPrompt() {
  static const std::vector<int32_t> prompt = RandomPrompt(130, Model().vocab_size, 11);
  return prompt;
}

// Sets one kernel level for as long as it lives.
class ForcedKernels {
 public:
  explicit ForcedKernels(const char* name) { setenv("NODE_TENSORRT_LLM_CPU_KERNELS", name, 1); }
  ~ForcedKernels() { unsetenv("NODE_TENSORRT_LLM_CPU_KERNELS"); }
};

TEST_P(BatchInvariance, ChunksOfAPromptGiveTheSameBitsAsTheWhole) {
  for (const Kernels* kernels : SupportedKernels()) {
    const ForcedKernels forced(kernels->name);
    const auto with_chunks_of = [](uint32_t tokens) {
      TableClient client(Model(), [&](ExecutorConfig* config) {
        config->set |= CONFIG_MAX_NUM_TOKENS | CONFIG_MAX_BATCH_SIZE;
        config->max_num_tokens = tokens;
        config->max_batch_size = 1;
      });
      return client.Run(LogitsRequest(1, LongPrompt()));
    };
    const TestResult whole = with_chunks_of(200);
    for (const uint32_t tokens : {1u, 7u, 64u}) {
      SCOPED_TRACE(std::string(kernels->name) + ", chunks of " + std::to_string(tokens));
      ExpectSameBits(with_chunks_of(tokens), whole);
    }
  }
}

TEST_P(BatchInvariance, AnyNumberOfThreadsGivesTheSameBits) {
  const TestResult expected = Alone(LongPrompt());
  for (const uint32_t threads : {1u, 2u, 3u, 5u}) {
    SCOPED_TRACE(threads);
    TableClient client(Model(), [&](ExecutorConfig* config) {
      config->set |= CONFIG_THREADS;
      config->threads = threads;
    });
    ExpectSameBits(client.Run(LogitsRequest(1, LongPrompt())), expected);
  }
}

TEST_P(BatchInvariance, ARequestAmong64GetsTheSameBitsAsAlone) {
  for (const Kernels* kernels : SupportedKernels()) {
    const ForcedKernels forced(kernels->name);
    SCOPED_TRACE(kernels->name);
    TableClient client(Model());
    std::vector<TestRequest> requests;
    std::vector<TestRequest*> pointers;
    for (uint64_t id = 1; id <= 64; ++id)
      requests.push_back(
          LogitsRequest(id, RandomPrompt(static_cast<int>(1 + id * 2), Model().vocab_size, static_cast<uint32_t>(id))));
    for (TestRequest& request : requests) pointers.push_back(&request);
    ASSERT_EQ(client.Submit(pointers), EXECUTOR_OK) << client.message();
    client.WaitForEnds(64);
    for (const size_t i : {0, 1, 17, 40, 63}) {
      SCOPED_TRACE(i);
      ExpectSameBits(client.results[i + 1], Alone(requests[i].tokens));
    }
  }
}

TEST_P(BatchInvariance, APreemptedRequestGivesTheSameBitsAsOneThatRanThrough) {
  TableClient client(Model(), [](ExecutorConfig* config) {
    static ExecutorKvCacheConfig kv{};
    kv.size = sizeof(kv);
    kv.set = KV_CACHE_MAX_TOKENS;
    kv.max_tokens = 192;  // six blocks: two of these requests do not fit
    config->kv_cache = &kv;
  });
  std::vector<TestRequest> requests{LogitsRequest(1, RandomPrompt(90, Model().vocab_size, 1), 60),
                                    LogitsRequest(2, RandomPrompt(90, Model().vocab_size, 2), 60)};
  ASSERT_EQ(client.Submit({&requests[0], &requests[1]}), EXECUTOR_OK) << client.message();
  client.WaitForEnds(2);
  EXPECT_GT(client.stats().preemptions, 0u);
  for (TestRequest& request : requests) {
    TableClient alone(Model());
    ExpectSameBits(client.results[request.id], alone.Run(request));
    EXPECT_EQ(client.results[request.id].tokens.size(), 60u);
  }
}

// Forks share their prompt's keys and values, and those that were preempted compute them again alone.
TEST_P(BatchInvariance, SequencesOfOneRequestGetTheSameBitsInASmallCacheAsInALargeOne) {
  const auto four = [](uint64_t id) {
    TestRequest request = LogitsRequest(id, RandomPrompt(75, Model().vocab_size, 1), 60);
    request.sampling.set |= SAMPLING_N | SAMPLING_SEED;
    request.sampling.temperature = 1.5f;
    request.sampling.n = 4;
    request.sampling.seed = 1234;
    return request;
  };
  TableClient large(Model());
  const TestResult expected = large.Run(four(1));
  EXPECT_EQ(large.stats().preemptions, 0u);
  for (const uint32_t blocks : {5u, 6u, 9u}) {  // one sequence grows to five
    SCOPED_TRACE(blocks);
    TableClient small(Model(), [&](ExecutorConfig* config) {
      static ExecutorKvCacheConfig kv{};
      kv.size = sizeof(kv);
      kv.set = KV_CACHE_MAX_TOKENS;
      kv.max_tokens = 32 * blocks;
      config->kv_cache = &kv;
    });
    const TestResult actual = small.Run(four(1));
    EXPECT_GT(small.stats().preemptions, 0u);
    EXPECT_EQ(small.stats().kv_blocks_used, 0u);
    EXPECT_EQ(actual.prompt_top_tokens, expected.prompt_top_tokens);
    for (uint32_t i = 0; i < 4; ++i) {
      const TestSequence &one = actual.sequences.at(i), &other = expected.sequences.at(i);
      EXPECT_EQ(one.tokens, other.tokens) << i;
      EXPECT_EQ(one.tokens.size(), 60u) << i;
      EXPECT_EQ(one.logprobs, other.logprobs) << i;
      EXPECT_EQ(one.generation_logits, other.generation_logits) << i;
    }
  }
}

TEST_P(BatchInvariance, ASeedGivesTheSameTokensAloneAndInABatch) {
  const auto sampled = [](uint64_t id) {
    TestRequest request(id, RandomPrompt(20, Model().vocab_size, 5), 40);
    request.sampling.set = SAMPLING_SEED | SAMPLING_TEMPERATURE | SAMPLING_TOP_P;
    request.sampling.temperature = 1.5f;
    request.sampling.top_p = 0.95f;
    request.sampling.seed = 1234;
    return request;
  };
  TableClient client(Model());
  const std::vector<int32_t> alone = client.Run(sampled(1)).tokens;
  std::vector<TestRequest> requests{sampled(2), TestRequest(3, LongPrompt(), 30), sampled(4), TestRequest(5, {4}, 50)};
  ASSERT_EQ(client.Submit({&requests[0], &requests[1], &requests[2], &requests[3]}), EXECUTOR_OK);
  client.WaitForEnds(5);
  EXPECT_EQ(client.results[2].tokens, alone);
  EXPECT_EQ(client.results[4].tokens, alone);
}

INSTANTIATE_TEST_SUITE_P(Models, BatchInvariance, testing::Values(&Plain, &WithAllThereIs, &BlockModel),
                         [](const auto& test) {
                           return test.param == &Plain        ? "Plain"
                                  : test.param == &BlockModel ? "Blocks"
                                                              : "WithAllThereIs";
                         });

}  // namespace
}  // namespace embedded::cpu
