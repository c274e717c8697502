// LoRA adapters through the executor's table: what they compute, and how long the cache keeps them.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "table_client.h"
#include "tiny_adapter.h"

namespace embedded {
namespace {

constexpr uint32_t kTokensPerBlock = 32;

// A cache with room for so many adapters like this one.
std::function<void(ExecutorConfig*)> CacheOf(const TinyAdapter& adapter, int adapters) {
  size_t values = 0;
  for (const std::vector<float>& of : adapter.values) values += of.size();
  return [bytes = 2 * sizeof(float) * values * static_cast<size_t>(adapters)](ExecutorConfig* config) {
    static ExecutorPeftCacheConfig peft;
    peft = {};
    peft.size = sizeof(peft);
    peft.set = PEFT_HOST_CACHE_BYTES;
    peft.host_cache_bytes = bytes;
    config->peft_cache = &peft;
  };
}

TestRequest With(uint64_t id, const ExecutorLora* lora, int prompt = 5) {
  TestRequest request(id, RandomPrompt(prompt, 101, 1), 6);
  request.request.lora = lora;
  request.output.flags |= OUTPUT_RETURN_GENERATION_LOGITS;
  return request;
}

void ExpectNear(const std::vector<float>& found, const std::vector<float>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], 2e-3) << i;
}

TEST(Adapters, GiveWhatAModelWithMergedWeightsGives) {
  for (const TinyModel::Layers layers : {TinyModel::Layers::kPlain, TinyModel::Layers::kWithAllThereIs}) {
    TinyModel model;
    model.layers_have = layers;
    model.Fill();
    for (const int rank : {1, 8, 40}) {
      const TinyAdapter adapter(model, 7, rank, 3, 0.1f);
      TableClient merged(adapter.Merged(model));
      TableClient client(model, CacheOf(adapter, 1));
      ASSERT_NE(client.info().capabilities & CAN_LORA, 0u);
      const TestResult expected = merged.Run(With(1, nullptr, 40)), found = client.Run(With(1, &adapter.lora, 40));
      EXPECT_EQ(found.tokens, expected.tokens) << rank;
      ExpectNear(found.generation_logits, expected.generation_logits);
      EXPECT_NE(client.Run(With(2, nullptr, 40)).generation_logits, found.generation_logits);
    }
  }
}

TEST(Adapters, ATokensBitsDoNotDependOnTheOthersInItsStep) {
  const TinyAdapter one(DefaultModel(), 1, 4, 3), two(DefaultModel(), 2, 16, 4);
  const ExecutorLora* const loras[] = {&one.lora, nullptr, &two.lora, &one.lora};
  TableClient together(DefaultModel(), CacheOf(two, 3));
  std::vector<TestRequest> requests;
  for (uint64_t i = 0; i < std::size(loras); ++i) requests.push_back(With(i, loras[i], 20 + static_cast<int>(i)));
  std::vector<TestRequest*> pointers;
  for (TestRequest& request : requests) pointers.push_back(&request);
  ASSERT_EQ(together.Submit(pointers), EXECUTOR_OK) << together.message();
  together.WaitForEnds(static_cast<int>(requests.size()));
  for (uint64_t i = 0; i < std::size(loras); ++i) {
    TableClient alone(DefaultModel(), CacheOf(two, 3));
    const TestResult result = alone.Run(With(i, loras[i], 20 + static_cast<int>(i)));
    EXPECT_EQ(result.generation_logits, together.results[i].generation_logits) << i;
  }
}

TEST(Adapters, BlocksAreSharedWithinAnAdapterOnly) {
  const TinyAdapter one(DefaultModel(), 1, 4, 3), two(DefaultModel(), 2, 4, 4);
  TableClient client(DefaultModel(), CacheOf(one, 2));
  uint64_t id = 0;
  const auto cached_tokens = [&](const ExecutorLora* lora) {
    return client.Run(With(++id, lora, kTokensPerBlock + 1)).details->cached_tokens;
  };
  EXPECT_EQ(cached_tokens(nullptr), 0u);
  EXPECT_EQ(cached_tokens(&one.lora), 0u);
  EXPECT_EQ(cached_tokens(&two.lora), 0u);
  EXPECT_EQ(cached_tokens(nullptr), kTokensPerBlock);
  EXPECT_EQ(cached_tokens(&one.lora), kTokensPerBlock);
  EXPECT_EQ(cached_tokens(&two.lora), kTokensPerBlock);
}

TEST(Adapters, AreNamedByTheirIdOnceTheyAreCached) {
  const TinyAdapter adapter(DefaultModel(), 1, 4, 3);
  TableClient client(DefaultModel(), CacheOf(adapter, 1));
  const ExecutorLora by_id = adapter.ById();
  EXPECT_EQ(client.Submit(With(1, &by_id)), EXECUTOR_INVALID_INPUT);
  EXPECT_STREQ(client.error().field, "lora");
  EXPECT_EQ(client.error().request_id, 1u);
  EXPECT_NE(client.message().find("lora.id is 1, which is not cached"), std::string::npos) << client.message();
  const TestResult sent = client.Run(With(2, &adapter.lora));
  EXPECT_EQ(client.Run(With(3, &by_id)).generation_logits, sent.generation_logits);
  EXPECT_EQ(client.Run(With(4, &adapter.lora)).generation_logits, sent.generation_logits) << "sent again";
}

TEST(Adapters, OtherWeightsOfACachedIdAreRefused) {
  const TinyAdapter adapter(DefaultModel(), 1, 4, 3), other(DefaultModel(), 1, 4, 4);
  TableClient client(DefaultModel(), CacheOf(adapter, 2));
  client.Run(With(1, &adapter.lora));
  EXPECT_EQ(client.Submit(With(2, &other.lora)), EXECUTOR_INVALID_INPUT);
  EXPECT_NE(client.message().find("cached with other weights"), std::string::npos) << client.message();
}

TEST(Adapters, TheOneUsedLeastRecentlyMakesRoom) {
  const TinyAdapter one(DefaultModel(), 1, 4, 3), two(DefaultModel(), 2, 4, 4), three(DefaultModel(), 3, 4, 5);
  TableClient client(DefaultModel(), CacheOf(one, 2));
  const ExecutorLora one_by_id = one.ById(), two_by_id = two.ById();
  client.Run(With(1, &one.lora));
  client.Run(With(2, &two.lora));
  const TestResult before = client.Run(With(3, &one_by_id));
  client.Run(With(4, &three.lora));
  EXPECT_EQ(client.Submit(With(5, &two_by_id)), EXECUTOR_INVALID_INPUT) << "it was evicted";
  EXPECT_EQ(client.Run(With(6, &one_by_id)).generation_logits, before.generation_logits);
}

TEST(Adapters, OneInUseIsNotEvicted) {
  const TinyAdapter one(EndlessModel(), 1, 4, 3), two(EndlessModel(), 2, 4, 4);
  TableClient client(EndlessModel(), CacheOf(one, 1));
  TestRequest running = With(1, &one.lora);
  running.request.max_tokens = 100000;
  ASSERT_EQ(client.Submit({&running}), EXECUTOR_OK) << client.message();
  EXPECT_EQ(client.Submit(With(2, &two.lora)), EXECUTOR_OUT_OF_MEMORY);
  EXPECT_STREQ(client.error().field, "lora");
  client.Cancel(1);
  client.WaitForEnds(1);
  EXPECT_EQ(client.Run(With(3, &two.lora)).finish, FINISH_LENGTH);
}

TEST(Adapters, EachBadAdapterIsRefusedWithItsCode) {
  const struct {
    const char* words;
    ExecutorCode code;
    void (*change)(TinyAdapter*);
  } cases[] = {
      {"lora.config is missing", EXECUTOR_INVALID_INPUT, [](TinyAdapter* a) { a->lora.config = nullptr; }},
      {"lora.weights is missing", EXECUTOR_INVALID_INPUT, [](TinyAdapter* a) { a->lora.weights = nullptr; }},
      {"lora.config has the shape", EXECUTOR_INVALID_INPUT, [](TinyAdapter* a) { a->config_tensor.rank = 1; }},
      {"lora.config has the shape", EXECUTOR_INVALID_INPUT, [](TinyAdapter* a) { a->config_tensor.shape[0] = 0; }},
      {"lora.config has the shape", EXECUTOR_INVALID_INPUT,
       [](TinyAdapter* a) { a->config_tensor.data_type = DATA_TYPE_FLOAT32; }},
      {"lora.weights has the shape", EXECUTOR_INVALID_INPUT, [](TinyAdapter* a) { a->weights_tensor.shape[0] = 1; }},
      {"lora.weights has another data type", EXECUTOR_INVALID_INPUT,
       [](TinyAdapter* a) { a->weights_tensor.data_type = DATA_TYPE_INT8; }},
      {"lora.weights has rows of 3 values", EXECUTOR_INVALID_INPUT,
       [](TinyAdapter* a) { a->weights_tensor.shape[1] = 3; }},
      {"lora.config[0] has the module attn_qkv", EXECUTOR_UNSUPPORTED, [](TinyAdapter* a) { a->config[0] = 0; }},
      {"lora.config[0] has the module 18", EXECUTOR_UNSUPPORTED, [](TinyAdapter* a) { a->config[0] = 18; }},
      {"lora.config[0] has the module -1", EXECUTOR_UNSUPPORTED, [](TinyAdapter* a) { a->config[0] = -1; }},
      {"lora.config[0] has the layer 2", EXECUTOR_INVALID_INPUT, [](TinyAdapter* a) { a->config[1] = 2; }},
      {"lora.config[0] has the layer -1", EXECUTOR_INVALID_INPUT, [](TinyAdapter* a) { a->config[1] = -1; }},
      {"lora.config[0] has the rank 65; expected 1 to 64", EXECUTOR_INVALID_INPUT,
       [](TinyAdapter* a) { a->config[2] = 65; }},
      {"lora.config[0] has the rank 0", EXECUTOR_INVALID_INPUT, [](TinyAdapter* a) { a->config[2] = 0; }},
      {"lora.config[1] names a module and layer for the second time", EXECUTOR_INVALID_INPUT,
       [](TinyAdapter* a) { a->config[3] = a->config[0]; }},
      {"DoRA", EXECUTOR_UNSUPPORTED,
       [](TinyAdapter* a) {
         a->config = {kAttnQ, 0, 4, 1};
         a->config_tensor = {a->config.data(), DATA_TYPE_INT32, 2, {1, 4}};
         a->weights_tensor.shape[0] = 1;
       }},
  };
  const TinyAdapter whole(DefaultModel(), 1, 4, 3);
  TableClient client(DefaultModel(), CacheOf(whole, 1));
  for (const auto& each : cases) {
    TinyAdapter adapter(DefaultModel(), 1, 4, 3);
    each.change(&adapter);
    EXPECT_EQ(client.Submit(With(1, &adapter.lora)), each.code) << each.words;
    EXPECT_STREQ(client.error().field, "lora");
    EXPECT_NE(client.message().find(each.words), std::string::npos) << client.message();
  }
}

TEST(Adapters, NeedACache) {
  const TinyAdapter adapter(DefaultModel(), 1, 4, 3);
  TableClient client(DefaultModel());
  EXPECT_EQ(client.info().capabilities & CAN_LORA, 0u);
  EXPECT_EQ(client.Submit(With(1, &adapter.lora)), EXECUTOR_UNSUPPORTED);
  EXPECT_NE(client.message().find("peftCache"), std::string::npos) << client.message();
}

TEST(Adapters, EachOptionOfTheCacheThatIsNotSupportedIsRefused) {
  const struct {
    const char* field;
    ExecutorCode code;
    uint32_t set;
    uint32_t max_adapter_size;
    const char* directory;
  } cases[] = {
      {"peft_cache.put_workers", EXECUTOR_UNSUPPORTED, PEFT_PUT_WORKERS, 0, nullptr},
      {"peft_cache.lora_prefetch_dir", EXECUTOR_UNSUPPORTED, 0, 0, "adapters"},
      {"peft_cache.device_cache_fraction", EXECUTOR_UNSUPPORTED, PEFT_DEVICE_CACHE_FRACTION, 0, nullptr},
      {"peft_cache.max_adapter_size", EXECUTOR_INVALID_OPTION, PEFT_MAX_ADAPTER_SIZE, 0, nullptr},
      {"peft_cache.max_adapter_size", EXECUTOR_INVALID_OPTION, PEFT_MAX_ADAPTER_SIZE, 513, nullptr},
  };
  for (const auto& each : cases) {
    ExecutorPeftCacheConfig peft{};
    peft.size = sizeof(peft);
    peft.set = each.set;
    peft.max_adapter_size = each.max_adapter_size;
    peft.lora_prefetch_dir = each.directory;
    const TableClient client(DefaultModel(), [&](ExecutorConfig* config) { config->peft_cache = &peft; });
    EXPECT_EQ(client.code(), each.code) << each.field;
    EXPECT_STREQ(client.error().field, each.field);
  }
}

}  // namespace
}  // namespace embedded
