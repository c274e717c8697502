// The CUDA executor through its table, against the CPU executor on the same weights. Each test is skipped without a GPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "both_executors.h"
#include "gpu_test.h"
#include "native/embedded/cpu/executor_table.h"

namespace embedded::cuda {
namespace {

class ModelShapes : public GpuTestWith<Shape> {};

TEST_P(ModelShapes, PromptsAndDecodeHaveTheCpusLogits) {
  Both both(GetParam());
  ASSERT_EQ(both.cuda().code(), EXECUTOR_OK);
  const size_t width = static_cast<size_t>(both.vocab_size());
  for (const int prompt_tokens : {1, 2, 70, 200, 700}) {
    const std::vector<int32_t> prompt = RandomPrompt(prompt_tokens, both.vocab_size(), 3);
    TestRequest request(1, prompt, 12);
    request.output.flags = OUTPUT_RETURN_CONTEXT_LOGITS | OUTPUT_RETURN_GENERATION_LOGITS;
    const TestResult result = both.cuda().Run(request);
    ASSERT_EQ(result.finish, FINISH_LENGTH) << (result.error ? result.error->message : both.cuda().message());
    std::vector<int32_t> all = prompt;
    all.insert(all.end(), result.tokens.begin(), result.tokens.end());
    std::vector<float> expected = both.CpuLogits(all);
    const std::vector<float> of_prompt(expected.begin(), expected.begin() + prompt.size() * width);
    const std::vector<float> of_output(expected.begin() + (prompt.size() - 1) * width, expected.end() - width);
    ASSERT_EQ(result.context_logits.size(), of_prompt.size());
    ASSERT_EQ(result.generation_logits.size(), of_output.size());
    const double prefill = WorstError(result.context_logits, of_prompt, width);
    const double decode = WorstError(result.generation_logits, of_output, width);
    std::printf("%s, %d tokens: worst relative error %.2g in the prompt, %.2g in decode\n", GetParam().name,
                prompt_tokens, prefill, decode);
    // The worst of up to 700 rows of a random model, whose activations are rounded at every layer, and whose keys and
    // values the CPU rounds too.
    EXPECT_LT(prefill, 3 * both.tolerance());
    EXPECT_LT(decode, 3 * both.tolerance());
    both.ExpectGreedy(prompt, result.tokens, "alone");
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, ModelShapes,
    testing::Values(
        Shape{"fp16_dim64", "float16", 128, 4, 2, 64, 256, 503, true},
        Shape{"bf16_dim128", "bfloat16", 256, 4, 1, 128, 512, 1000, false},
        Shape{"fp16_dim128", "float16", 256, 4, 1, 128, 512, 1000, false},
        Shape{"fp32_dim24", "float32", 48, 4, 2, 24, 70, 101, true},
        Shape{"bf16_dim80", "bfloat16", 160, 8, 8, 80, 232, 333, true}, kWithAllThereIs,
        Shape{"bf16_dim128_all_there_is", "bfloat16", 256, 4, 1, 128, 512, 1000, false, "null",
              TinyModel::Layers::kWithAllThereIs},
        Shape{"fp32_dim24_all_there_is", "float32", 48, 4, 2, 24, 70, 101, true, "null",
              TinyModel::Layers::kWithAllThereIs},
        Shape{
            "fp16_llama3", "float16", 128, 8, 2, 64, 256, 512, false,
            R"({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 256})"}),
    [](const auto& info) { return std::string(info.param.name); });

class ModelRunner : public GpuTest {};

TEST_F(ModelRunner, BatchesOfAnySizeGiveTheLikeliestTokens) {
  Both both(kHalf);
  for (const int count : {2, 7, 20, 40}) RunAndExpectGreedy(&both, SeveralRequests(count, both.vocab_size(), 24));
}

TEST_F(ModelRunner, BatchesOfAModelWithBiasesNormsAndAWindowGiveTheLikeliestTokens) {
  Both both(kWithAllThereIs, [](ExecutorConfig* config) {
    config->set |= CONFIG_MAX_NUM_TOKENS;
    config->max_num_tokens = 48;
  });
  for (const int count : {2, 20}) RunAndExpectGreedy(&both, SeveralRequests(count, both.vocab_size(), 60));
}

TEST_F(ModelRunner, PromptsInChunksBesideDecodeGiveTheLikeliestTokens) {
  Both both(kHalf, [](ExecutorConfig* config) {
    config->set |= CONFIG_MAX_NUM_TOKENS | CONFIG_MAX_BATCH_SIZE;
    config->max_num_tokens = 48;
    config->max_batch_size = 24;
  });
  RunAndExpectGreedy(&both, SeveralRequests(24, both.vocab_size(), 40));
}

TEST_F(ModelRunner, SequencesThatWerePutOffGoOnAsTheyWould) {
  static ExecutorKvCacheConfig kv{};
  kv.size = sizeof(kv);
  kv.set = KV_CACHE_MAX_TOKENS;
  kv.max_tokens = 64 * 12;
  Both both(kHalf, [](ExecutorConfig* config) { config->kv_cache = &kv; });
  EXPECT_EQ(both.cuda().info().kv_blocks, 12u);
  RunAndExpectGreedy(&both, SeveralRequests(12, both.vocab_size(), 150));
}

TEST_F(ModelRunner, BlocksThatWereInHostMemoryGiveTheLikeliestTokens) {
  static ExecutorKvCacheConfig kv{};
  kv.size = sizeof(kv);
  kv.set = KV_CACHE_MAX_TOKENS | KV_CACHE_HOST_BYTES;
  kv.max_tokens = 64 * 8;
  kv.host_bytes = uint64_t{64} << 20;
  Both both(kHalf, [](ExecutorConfig* config) { config->kv_cache = &kv; });
  EXPECT_GT(both.cuda().stats().pinned_memory_bytes, uint64_t{60} << 20);
  uint64_t id = 0;
  for (const uint32_t cached_tokens :
       {0u, 199u, 199u})  // the GPU alone would have lost each prompt before it comes again
    for (uint32_t seed = 0; seed < 6; ++seed) {
      const std::vector<int32_t> prompt = RandomPrompt(200, both.vocab_size(), seed);
      const TestResult result = both.cuda().Run(TestRequest(++id, prompt, 20));
      EXPECT_EQ(result.details->cached_tokens, cached_tokens) << id;
      both.ExpectGreedy(prompt, result.tokens, "request " + std::to_string(id));
    }
}

TEST_F(ModelRunner, SeveralSequencesDrawByTheirIndexAndShareThePrompt) {
  static ExecutorKvCacheConfig kv{};
  kv.size = sizeof(kv);
  kv.set = KV_CACHE_BLOCK_REUSE;  // another way to compute the prompt may draw other tokens at a border
  kv.block_reuse = 0;
  Both both(kHalf, [](ExecutorConfig* config) { config->kv_cache = &kv; });
  const std::vector<int32_t> prompt = RandomPrompt(100, both.vocab_size(), 4);
  const auto sampled = [&](uint64_t id, uint32_t sequences) {
    TestRequest request(id, prompt, 30);
    request.sampling.set |= SAMPLING_N | SAMPLING_SEED;
    request.sampling.n = sequences;
    request.sampling.temperature = 1.5f;
    request.sampling.seed = 77;
    return request;
  };
  const TestResult once = both.cuda().Run(sampled(1, 4)), again = both.cuda().Run(sampled(2, 4));
  std::set<std::vector<int32_t>> texts;
  for (uint32_t i = 0; i < 4; ++i) {
    EXPECT_EQ(once.sequences.at(i).tokens, again.sequences.at(i).tokens) << i;
    EXPECT_EQ(once.sequences.at(i).tokens.size(), 30u);
    texts.insert(once.sequences.at(i).tokens);
  }
  EXPECT_EQ(texts.size(), 4u);
  const TestResult on_cpu = both.cpu().Run(sampled(1, 4));
  int equal = 0;
  for (uint32_t i = 0; i < 4; ++i) equal += once.sequences.at(i).tokens[0] == on_cpu.sequences.at(i).tokens[0];
  EXPECT_GE(equal, 3) << "nearly equal logits give the CPU's draws but at a border";
  TestRequest greedy = sampled(3, 3);
  greedy.sampling.temperature = 0;
  const TestResult same = both.cuda().Run(greedy);
  for (uint32_t i = 0; i < 3; ++i) both.ExpectGreedy(prompt, same.sequences.at(i).tokens, "fork " + std::to_string(i));
}

TEST_F(ModelRunner, LogprobsAreTheCpus) {
  Both both(kHalf);
  TestRequest request(1, RandomPrompt(60, both.vocab_size(), 5), 6);
  request.output.flags = OUTPUT_LOGPROBS | OUTPUT_PROMPT_LOGPROBS;
  request.output.top_logprobs = 5;
  request.output.top_prompt_logprobs = 3;
  const TestResult got = both.cuda().Run(request), expected = both.cpu().Run(request);
  ASSERT_EQ(got.tokens, expected.tokens);
  ASSERT_EQ(got.logprobs.size(), expected.logprobs.size());
  for (size_t i = 0; i < got.logprobs.size(); ++i) EXPECT_NEAR(got.logprobs[i], expected.logprobs[i], 0.05);
  ASSERT_EQ(got.top.size(), expected.top.size());
  for (size_t i = 0; i < got.top.size(); ++i) EXPECT_NEAR(got.top[i].second, expected.top[i].second, 0.1);
  ASSERT_EQ(got.prompt_logprobs.size(), 60u);
  EXPECT_TRUE(std::isnan(got.prompt_logprobs[0]));
  for (size_t i = 1; i < 60; ++i) EXPECT_NEAR(got.prompt_logprobs[i], expected.prompt_logprobs[i], 0.1) << i;
  ASSERT_EQ(got.prompt_top_logprobs.size(), 180u);
  for (size_t i = 3; i < 180; ++i) EXPECT_NEAR(got.prompt_top_logprobs[i], expected.prompt_top_logprobs[i], 0.1) << i;

  request.id = 2;
  request.output.top_logprobs = static_cast<uint32_t>(both.vocab_size());
  EXPECT_EQ(both.cuda().Run(request).top.size(), 6u * static_cast<size_t>(both.vocab_size()));
}

TEST_F(ModelRunner, PromptLogprobsFromAStartOnAreTheCpus) {
  Both both(kHalf);
  TestRequest request(1, RandomPrompt(200, both.vocab_size(), 8), 1);
  request.output.flags = OUTPUT_PROMPT_LOGPROBS;
  both.cuda().Run(request);  // its blocks are kept
  request.output.flags |= OUTPUT_PROMPT_LOGPROBS_START;
  request.output.prompt_logprobs_start = 150;
  const TestResult got = both.cuda().Run(request), expected = both.cpu().Run(request);
  EXPECT_EQ(got.details->cached_tokens, 149u);
  ASSERT_EQ(got.prompt_logprobs.size(), 200u);
  for (size_t i = 0; i < 200; ++i) {
    if (i < 150)
      EXPECT_TRUE(std::isnan(got.prompt_logprobs[i])) << i;
    else
      EXPECT_NEAR(got.prompt_logprobs[i], expected.prompt_logprobs[i], 0.1) << i;
  }
}

// Beside requests for tokens, alone, of one token, and in several chunks.
TEST_F(ModelRunner, EmbeddingsAreTheCpus) {
  Both both(kHalf);
  std::vector<TestRequest> requests;
  for (const int length : {1, 2, 63, 64, 300, 1900})
    for (const ExecutorPooling pooling : {POOLING_LAST, POOLING_MEAN, POOLING_CLS}) {
      TestRequest& request = requests.emplace_back(requests.size() + 1, RandomPrompt(length, both.vocab_size(), 9));
      request.request.type = REQUEST_EMBEDDING;
      request.output.pooling = pooling;
    }
  for (int i = 0; i < 4; ++i) requests.emplace_back(requests.size() + 1, RandomPrompt(30, both.vocab_size(), 10), 20);
  std::vector<TestRequest*> pointers;
  for (TestRequest& request : requests) pointers.push_back(&request);
  ASSERT_EQ(both.cuda().Submit(pointers), EXECUTOR_OK);
  both.cuda().WaitForEnds(static_cast<int>(requests.size()));
  for (const TestRequest& request : requests) {
    const TestResult got = both.cuda().results.extract(request.id).mapped();
    if (request.request.type != REQUEST_EMBEDDING) {
      EXPECT_EQ(got.tokens.size(), 20u);
      continue;
    }
    EXPECT_TRUE(got.tokens.empty());
    EXPECT_EQ(got.finish, FINISH_LENGTH);
    const std::vector<float> expected = both.cpu().Run(request).embedding;
    ASSERT_EQ(got.embedding.size(), expected.size()) << request.id;
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(got.embedding[i], expected[i], 0.03) << request.id;
    EXPECT_EQ(both.cuda().Run(request).embedding.size(), expected.size()) << "alone";
  }
}

TEST_F(ModelRunner, LogitsProcessorsGiveTheCpusTokens) {
  Both both(kHalf);
  const std::vector<int32_t> bias_tokens{9, 4, 9};
  const std::vector<float> bias_values{2, -3, 5};
  const auto with = [&](uint64_t id, const std::function<void(TestRequest*)>& change) {
    TestRequest request(id, RandomPrompt(40, both.vocab_size(), 6), 12);
    change(&request);
    const TestResult got = both.cuda().Run(request), expected = both.cpu().Run(request);
    EXPECT_FALSE(got.error.has_value());
    EXPECT_EQ(got.tokens, expected.tokens) << id;
  };
  with(1, [&](TestRequest* request) { request->request.logit_bias = {bias_tokens.data(), bias_values.data(), 3}; });
  with(2, [&](TestRequest* request) {
    request->sampling.set |= SAMPLING_REPETITION_PENALTY | SAMPLING_NO_REPEAT_NGRAM_SIZE;
    request->sampling.repetition_penalty = 1.7f;
    request->sampling.no_repeat_ngram_size = 2;
  });
  with(3, [&](TestRequest* request) {
    request->sampling.set |= SAMPLING_PRESENCE_PENALTY | SAMPLING_FREQUENCY_PENALTY | SAMPLING_MIN_TOKENS;
    request->sampling.presence_penalty = 1;
    request->sampling.frequency_penalty = 0.5f;
    request->sampling.min_tokens = 5;
    for (int32_t token = 0; token < 250; ++token) request->end_ids.push_back(token);
  });
}

TEST_F(ModelRunner, ACancelLeavesTheOthersAsTheyAre) {
  Both both(kHalf);
  std::vector<TestRequest> requests = SeveralRequests(6, both.vocab_size(), 300);
  std::vector<TestRequest*> pointers;
  for (TestRequest& request : requests) pointers.push_back(&request);
  ASSERT_EQ(both.cuda().Submit(pointers), EXECUTOR_OK);
  for (int i = 0; i < 20; ++i) both.cuda().WaitOnce();
  both.cuda().Cancel(2);
  both.cuda().Cancel(5);
  both.cuda().WaitForEnds(6);
  EXPECT_EQ(both.cuda().results[2].finish, FINISH_CANCELLED);
  for (const TestRequest& request : requests)
    both.ExpectGreedy(request.tokens, both.cuda().results[request.id].tokens, std::to_string(request.id));
  EXPECT_EQ(both.cuda().stats().kv_blocks_used, 0u);
}

TEST_F(ModelRunner, DummyWeightsAreThoseOfTheCpu) {
  for (const Shape& shape : {kHalf, Shape{"padded", "bfloat16", 128, 4, 2, 64, 250, 503, false}}) {
    TemporaryDirectory directory;
    WriteFile(directory.path() + "/config.json", ModelOf(shape).ConfigJson());
    const auto with_dummy_weights = [](ExecutorConfig* config) {
      config->set |= CONFIG_LOAD_FORMAT;
      config->load_format = LOAD_FORMAT_DUMMY;
    };
    TableClient cpu(directory.path(), cpu::CpuExecutorTable(), with_dummy_weights);
    TableClient cuda(directory.path(), CudaTable(), with_dummy_weights);
    ASSERT_EQ(cuda.code(), EXECUTOR_OK) << cuda.message();
    TestRequest request(1, RandomPrompt(100, shape.vocab_size, 3), 1);
    request.output.flags = OUTPUT_RETURN_CONTEXT_LOGITS;
    const std::vector<float> expected = cpu.Run(request).context_logits, got = cuda.Run(request).context_logits;
    ASSERT_EQ(got.size(), expected.size());
    EXPECT_LT(WorstError(got, expected, static_cast<size_t>(shape.vocab_size)), shape.dtype[0] == 'f' ? 0.025 : 0.2)
        << shape.name;
  }
}

TEST_F(ModelRunner, TheGapBeforeEachDecodeStepIsWrittenWhereItIsAskedFor) {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/gaps";
  setenv("NODE_TENSORRT_LLM_CUDA_STEP_GAPS", path.c_str(), 1);
  {
    Both both(kHalf);
    RunAndExpectGreedy(&both, SeveralRequests(2, both.vocab_size(), 50));
  }
  unsetenv("NODE_TENSORRT_LLM_CUDA_STEP_GAPS");
  std::ifstream file(path);
  int steps = 0, rows = 0;
  for (double gap_us = 0, work_us = 0; file >> rows >> gap_us >> work_us; ++steps) {
    EXPECT_TRUE(rows == 1 || rows == 2) << rows;
    EXPECT_GE(gap_us, 0);
    EXPECT_GT(work_us, 0);
  }
  EXPECT_GE(steps, 40);
}

class TunedModelRunner : public ModelRunner {
 protected:
  void SetUp() override {
    ModelRunner::SetUp();
    if (const char* cache = std::getenv("XDG_CACHE_HOME")) cache_ = cache;
    setenv("XDG_CACHE_HOME", directory_.path().c_str(), 1);
  }
  void TearDown() override {
    cache_ ? setenv("XDG_CACHE_HOME", cache_->c_str(), 1) : unsetenv("XDG_CACHE_HOME");
    ModelRunner::TearDown();
  }
  void ExpectRight() {
    Both both({"wide", "float16", 128, 4, 2, 64, 256, 6000, true});  // its head is large enough to be measured
    RunAndExpectGreedy(&both, SeveralRequests(9, both.vocab_size(), 20));
  }
  std::filesystem::path File() const {
    return *std::filesystem::directory_iterator(directory_.path() + "/node-tensorrt-llm/matmul");
  }

  TemporaryDirectory directory_;
  std::optional<std::string> cache_;
};

TEST_F(TunedModelRunner, KeepsWhatItMeasuredAndTakesItAtTheNextLoad) {
  ExpectRight();
  std::ifstream file(File());
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  for (const char* layer : {"float16/6000/128/1/elements/floats", "float16/6000/128/32/elements/floats"})
    EXPECT_NE(text.find(layer), std::string::npos) << text;
  const auto written = std::filesystem::last_write_time(File());
  ExpectRight();
  EXPECT_EQ(std::filesystem::last_write_time(File()), written) << "nothing was measured again";
}

TEST_F(TunedModelRunner, LoadsWithADamagedFileOfChoices) {
  ExpectRight();
  std::ifstream file(File());
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  for (size_t at = text.find('\n'); at < text.size(); at += 7) text[at + 1 < text.size() ? at + 1 : at] = 'x';
  std::ofstream(File()) << text;
  ExpectRight();
}

TEST_F(TunedModelRunner, LoadsWhereNothingCanBeKept) {
  setenv("XDG_CACHE_HOME", "/proc/nowhere", 1);
  ExpectRight();
}

TEST_F(ModelRunner, AMissingDeviceIsNamed) {
  TemporaryDirectory directory;
  ModelOf(kHalf).Write(directory.path());
  static const int32_t ids[] = {77};
  static ExecutorParallelConfig parallel{};
  parallel.size = sizeof(parallel);
  parallel.device_ids = ids;
  parallel.device_id_count = 1;
  TableClient client(directory.path(), CudaTable(), [](ExecutorConfig* config) { config->parallel = &parallel; });
  EXPECT_EQ(client.code(), EXECUTOR_INVALID_OPTION);
  EXPECT_NE(client.message().find("parallel.deviceIds has 77; expected one of "), std::string::npos)
      << client.message();
  EXPECT_STREQ(client.error().field, "parallel.device_ids");
}

TEST_F(ModelRunner, AKvCacheThatDoesNotFitNamesItsOption) {
  TemporaryDirectory directory;
  ModelOf(kHalf).Write(directory.path());
  static ExecutorKvCacheConfig kv{};
  kv.size = sizeof(kv);
  kv.set = KV_CACHE_MAX_TOKENS;
  kv.max_tokens = 4'000'000'000;
  TableClient client(directory.path(), CudaTable(), [](ExecutorConfig* config) { config->kv_cache = &kv; });
  EXPECT_EQ(client.code(), EXECUTOR_OUT_OF_MEMORY);
  EXPECT_EQ(client.message().rfind("kvCache needs ", 0), 0u) << client.message();
  EXPECT_STREQ(client.error().field, "kv_cache");
}

}  // namespace
}  // namespace embedded::cuda
