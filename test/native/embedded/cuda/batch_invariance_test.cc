// With batch_invariant a request's logits are the same bits whatever runs beside it and however its prompt is cut.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>

#include "../table_client.h"
#include "gpu_test.h"
#include "quantized_checkpoint.h"

extern "C" const ExecutorTable* executor_table(uint32_t abi_version);

namespace embedded::cuda {
namespace {

constexpr int kVocabSize = 503;

struct Model {
  const char* name;
  const char* dtype;
  TinyModel::Layers layers_have = TinyModel::Layers::kPlain;
  int head_dim = 64;
  int hidden_size = 256;
  const char* quant_algo = nullptr;
  int ranks = 1;
  ExecutorKvDtype kv_dtype = KV_DTYPE_AUTO;
};
void PrintTo(const Model& model, std::ostream* out) { *out << model.name; }

TinyModel TinyOf(const Model& model) {
  TinyModel tiny;
  tiny.dtype = model.dtype;
  tiny.hidden_size = model.hidden_size;
  tiny.heads = 4;
  tiny.kv_heads = 2;
  tiny.head_dim = model.head_dim;
  tiny.intermediate_size = 384;
  tiny.vocab_size = kVocabSize;
  tiny.tied_head = false;
  tiny.max_positions = 2048;
  tiny.layers_have = model.layers_have;
  tiny.build_config = R"({"max_batch_size": 64, "max_num_tokens": 1024})";
  return tiny.Fill();
}

class CudaBatchInvariance : public GpuTestWith<Model> {
 protected:
  void SetUp() override {
    GpuTestWith<Model>::SetUp();
    if (IsSkipped()) return;
    const Model& model = GetParam();
    if (model.quant_algo != nullptr) {
      QuantizedCheckpoint(TinyOf(model), {model.quant_algo}).Write(directory_.path());
    } else if (model.ranks == 1) {
      TinyOf(model).Write(directory_.path());
    } else {  // dummy weights
      std::string config = TinyOf(model).ConfigJson();
      const std::string before = "\"pretrained_config\": {", ranks = std::to_string(model.ranks);
      config.insert(config.find(before) + before.size(),
                    "\"mapping\": {\"world_size\": " + ranks + ", \"tp_size\": " + ranks + "}, ");
      WriteFile(directory_.path() + "/config.json", config);
    }
  }

  // The engine, batch invariant, with the given limits; all ranks on one GPU.
  std::unique_ptr<TableClient> Load(const std::function<void(ExecutorConfig*)>& change = {}) {
    static const int32_t kDevices[] = {0, 0};
    ExecutorParallelConfig parallel{};
    parallel.size = sizeof(parallel);
    parallel.device_ids = kDevices;
    parallel.device_id_count = static_cast<uint32_t>(GetParam().ranks);
    ExecutorKvCacheConfig kv{};
    kv.size = sizeof(kv);
    auto client = std::make_unique<TableClient>(
        directory_.path(), executor_table(EXECUTOR_ABI_VERSION), [&](ExecutorConfig* config) {
          config->set |= CONFIG_BATCH_INVARIANT | CONFIG_LOAD_FORMAT;
          config->batch_invariant = 1;
          config->load_format = GetParam().ranks > 1 ? LOAD_FORMAT_DUMMY : LOAD_FORMAT_AUTO;
          if (GetParam().ranks > 1) config->parallel = &parallel;
          if (change) change(config);
          if (config->kv_cache != nullptr) kv = *config->kv_cache;
          kv.set |= KV_CACHE_DTYPE;
          kv.dtype = GetParam().kv_dtype;
          config->kv_cache = &kv;
        });
    EXPECT_EQ(client->code(), EXECUTOR_OK) << client->message();
    return client;
  }

 private:
  TemporaryDirectory directory_;
};

TestRequest LogitsRequest(uint64_t id, std::vector<int32_t> prompt, uint32_t max_tokens = 12) {
  TestRequest request(id, std::move(prompt), max_tokens);
  request.output.flags = OUTPUT_RETURN_CONTEXT_LOGITS | OUTPUT_RETURN_GENERATION_LOGITS | OUTPUT_LOGPROBS;
  return request;
}

void ExpectSameBits(const TestResult& actual, const TestResult& expected) {
  const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
  };
  ASSERT_FALSE(expected.context_logits.empty());
  EXPECT_EQ(actual.tokens, expected.tokens);
  EXPECT_TRUE(same(actual.context_logits, expected.context_logits)) << "the prompt's logits";
  EXPECT_TRUE(same(actual.generation_logits, expected.generation_logits)) << "the output's logits";
  EXPECT_TRUE(same(actual.logprobs, expected.logprobs));
}

TEST_P(CudaBatchInvariance, ChunksOfAPromptGiveTheSameBitsAsTheWhole) {
  const std::vector<int32_t> prompt = RandomPrompt(700, kVocabSize, 11);
  const TestResult whole = Load()->Run(LogitsRequest(1, prompt));
  for (const uint32_t tokens : {1u, 7u, 64u, 200u}) {
    SCOPED_TRACE("chunks of " + std::to_string(tokens));
    const auto client = Load([&](ExecutorConfig* config) {
      config->set |= CONFIG_MAX_NUM_TOKENS | CONFIG_MAX_BATCH_SIZE;
      config->max_num_tokens = tokens;
      config->max_batch_size = 1;
    });
    ExpectSameBits(client->Run(LogitsRequest(1, prompt)), whole);
  }
}

TEST_P(CudaBatchInvariance, DecodeGivesTheSameBitsAsAPromptOfTheSameTokens) {
  const auto client = Load();
  const std::vector<int32_t> prompt = RandomPrompt(40, kVocabSize, 12);
  const TestResult decoded = client->Run(LogitsRequest(1, prompt, 60));
  std::vector<int32_t> all = prompt;
  all.insert(all.end(), decoded.tokens.begin(), decoded.tokens.end() - 1);
  const std::vector<float> computed = client->Run(LogitsRequest(2, all, 1)).context_logits;
  const size_t rows = decoded.tokens.size() * kVocabSize;
  ASSERT_EQ(decoded.generation_logits.size(), rows);
  ASSERT_GE(computed.size(), rows);
  EXPECT_EQ(
      std::memcmp(computed.data() + computed.size() - rows, decoded.generation_logits.data(), rows * sizeof(float)), 0);
}

TEST_P(CudaBatchInvariance, ARequestAmongOthersGetsTheSameBitsAsAlone) {
  const auto client = Load();
  std::vector<TestRequest> requests;
  for (uint64_t id = 1; id <= 64; ++id)
    requests.push_back(
        LogitsRequest(id, RandomPrompt(static_cast<int>(1 + id * 9), kVocabSize, static_cast<uint32_t>(id))));
  std::vector<TestResult> alone;
  for (const TestRequest& request : requests) alone.push_back(client->Run(request));
  for (const size_t count : {2, 5, 17, 33, 64}) {
    SCOPED_TRACE(std::to_string(count) + " requests");
    std::vector<TestRequest*> together;
    for (size_t i = 0; i < count; ++i) {
      requests[i].id += 100;
      together.push_back(&requests[i]);
    }
    const int ended = client->ended();
    ASSERT_EQ(client->Submit(together), EXECUTOR_OK) << client->message();
    client->WaitForEnds(ended + static_cast<int>(count));
    for (size_t i = 0; i < count; ++i) ExpectSameBits(client->results[requests[i].id], alone[i]);
  }
}

TEST_P(CudaBatchInvariance, APreemptedRequestGivesTheSameBitsAsOneThatRanThrough) {
  const auto cramped = Load([](ExecutorConfig* config) {
    static ExecutorKvCacheConfig kv{};
    kv.size = sizeof(kv);
    kv.set = KV_CACHE_MAX_TOKENS;
    kv.max_tokens = 384;  // six blocks: two of these requests do not fit
    config->kv_cache = &kv;
  });
  std::vector<TestRequest> requests{LogitsRequest(1, RandomPrompt(150, kVocabSize, 1), 120),
                                    LogitsRequest(2, RandomPrompt(150, kVocabSize, 2), 120)};
  ASSERT_EQ(cramped->Submit({&requests[0], &requests[1]}), EXECUTOR_OK) << cramped->message();
  cramped->WaitForEnds(2);
  EXPECT_GT(cramped->stats().preemptions, 0u);
  const auto roomy = Load();
  for (TestRequest& request : requests) ExpectSameBits(cramped->results[request.id], roomy->Run(request));
}

const Model kModels[] = {
    {"plain", "bfloat16"},
    {"half", "float16"},
    {"all_there_is", "bfloat16", TinyModel::Layers::kWithAllThereIs},
    {"plain_attention", "float16", TinyModel::Layers::kPlain, 36, 288},  // a head_dim that no fast kernel has
    {"int8", "bfloat16", TinyModel::Layers::kPlain, 64, 256, "W8A16"},
    {"int4", "bfloat16", TinyModel::Layers::kPlain, 64, 256, "W4A16"},
    {"fp8", "bfloat16", TinyModel::Layers::kPlain, 64, 256, "FP8"},
    {"int8_kv", "bfloat16", TinyModel::Layers::kWithAllThereIs, 64, 256, nullptr, 1, KV_DTYPE_INT8},
    {"plain_attention_int8_kv", "float16", TinyModel::Layers::kPlain, 36, 288, nullptr, 1, KV_DTYPE_INT8},
    {"two_ranks", "bfloat16", TinyModel::Layers::kPlain, 64, 256, nullptr, 2},
    {"two_ranks_int8_kv", "bfloat16", TinyModel::Layers::kPlain, 64, 256, nullptr, 2, KV_DTYPE_INT8},
};
INSTANTIATE_TEST_SUITE_P(Models, CudaBatchInvariance, testing::ValuesIn(kModels),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace embedded::cuda
