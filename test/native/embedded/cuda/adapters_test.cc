// LoRA adapters on the CUDA executor, against the CPU executor on the same weights. Each test is skipped without a GPU.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../table_client.h"
#include "../tiny_adapter.h"
#include "gpu_model.h"
#include "gpu_test.h"

extern "C" const ExecutorTable* executor_table(uint32_t abi_version);

namespace embedded::cuda {
namespace {

TinyModel ModelOf(const char* dtype, int intermediate_size, TinyModel::Layers layers_have) {
  TinyModel model = GpuModel(dtype);
  model.intermediate_size = intermediate_size;
  model.layers_have = layers_have;
  return model.Fill();
}

const ExecutorPeftCacheConfig* Peft(uint64_t host_bytes) {
  static ExecutorPeftCacheConfig peft;
  peft = {};
  peft.size = sizeof(peft);
  peft.set = PEFT_HOST_CACHE_BYTES;
  peft.host_cache_bytes = host_bytes;
  return &peft;
}

// One model on both executors, each with a cache of so many bytes.
struct Both {
  TemporaryDirectory directory;
  std::unique_ptr<TableClient> cpu, cuda;

  explicit Both(const TinyModel& model, uint64_t cuda_bytes = 1 << 30) {
    model.Write(directory.path());
    cpu = std::make_unique<TableClient>(directory.path(), cpu::CpuExecutorTable(),
                                        [](ExecutorConfig* config) { config->peft_cache = Peft(1 << 30); });
    cuda = std::make_unique<TableClient>(directory.path(), executor_table(EXECUTOR_ABI_VERSION),
                                         [=](ExecutorConfig* config) { config->peft_cache = Peft(cuda_bytes); });
    EXPECT_EQ(cuda->code(), EXECUTOR_OK) << cuda->message();
  }
};

TestRequest Ask(uint64_t id, const std::vector<int32_t>& tokens, uint32_t max_tokens, const ExecutorLora* lora) {
  TestRequest request(id, tokens, max_tokens);
  request.request.lora = lora;
  request.output.flags = OUTPUT_RETURN_GENERATION_LOGITS;
  return request;
}

// The CPU's logits for the tokens that a request got are those that it got.
void ExpectTheCpusLogits(Both* both, const TestRequest& asked, const TestResult& result, double tolerance,
                         const std::string& what) {
  ASSERT_FALSE(result.error.has_value()) << result.error->message;
  ASSERT_EQ(result.tokens.size(), asked.request.max_tokens) << what;
  std::vector<int32_t> all = asked.tokens;
  all.insert(all.end(), result.tokens.begin(), result.tokens.end() - 1);
  TestRequest reference(1000 + asked.id, all, 1);
  reference.request.lora = asked.request.lora;
  reference.output.flags = OUTPUT_RETURN_CONTEXT_LOGITS;
  const std::vector<float> logits = both->cpu->Run(reference).context_logits;
  const size_t rows = result.tokens.size(), width = logits.size() / all.size();
  ASSERT_EQ(result.generation_logits.size(), rows * width) << what;
  const float* expected = logits.data() + logits.size() - rows * width;
  double difference = 0, norm = 0;
  for (size_t i = 0; i < rows * width; ++i) {
    difference += std::pow(double{result.generation_logits[i]} - expected[i], 2);
    norm += double{expected[i]} * expected[i];
  }
  EXPECT_LT(std::sqrt(difference / norm), tolerance) << what;
}

class Adapters : public GpuTest {};

TEST_F(Adapters, HaveTheCpusLogitsInPromptsAndInDecode) {
  const struct {
    const char* dtype;
    int intermediate_size;
    TinyModel::Layers layers_have;
    double tolerance;
  } models[] = {{"float16", 256, TinyModel::Layers::kPlain, 0.02},
                {"bfloat16", 250, TinyModel::Layers::kPlain, 0.1},
                {"float16", 250, TinyModel::Layers::kWithAllThereIs, 0.02}};
  for (const auto& each : models) {
    const TinyModel model = ModelOf(each.dtype, each.intermediate_size, each.layers_have);
    Both both(model);
    ASSERT_EQ(both.cuda->code(), EXECUTOR_OK);
    const TinyAdapter adapter(model, 1, 8, 3, 0.1f);
    for (const int prompt : {1, 5, 70, 700}) {
      const TestRequest request = Ask(1, RandomPrompt(prompt, 503, 3), 12, &adapter.lora);
      ExpectTheCpusLogits(&both, request, both.cuda->Run(request), each.tolerance,
                          std::string(each.dtype) + ", " + std::to_string(prompt) + " tokens");
    }
    TestRequest bare = Ask(2, RandomPrompt(70, 503, 3), 12, nullptr);
    ExpectTheCpusLogits(&both, bare, both.cuda->Run(bare), each.tolerance, "without an adapter, after some");
  }
}

TEST_F(Adapters, OfOneBatchEachHaveTheirOwnLogits) {
  const TinyModel model = ModelOf("float16", 256, TinyModel::Layers::kPlain);
  Both both(model);
  ASSERT_EQ(both.cuda->code(), EXECUTOR_OK);
  const TinyAdapter one(model, 1, 1, 3, 0.1f), two(model, 2, 24, 4, 0.1f);
  const ExecutorLora* const loras[] = {&one.lora, nullptr, &two.lora};
  for (const int count : {3, 20, 32}) {
    std::vector<TestRequest> requests;
    for (int i = 0; i < count; ++i)
      requests.push_back(Ask(static_cast<uint64_t>(i + 1),
                             RandomPrompt(1 + 37 * i % 150, 503, static_cast<uint32_t>(i)), 16, loras[i % 3]));
    std::vector<TestRequest*> pointers;
    for (TestRequest& request : requests) pointers.push_back(&request);
    both.cuda->results.clear();
    ASSERT_EQ(both.cuda->Submit(pointers), EXECUTOR_OK) << both.cuda->message();
    both.cuda->WaitForEnds(both.cuda->ended() + count);
    for (const TestRequest& request : requests)
      ExpectTheCpusLogits(&both, request, both.cuda->results[request.id], 0.02,
                          std::to_string(count) + " requests, number " + std::to_string(request.id));
  }
}

TEST_F(Adapters, WithBatchInvariantTheLogitsAreTheSameBitsAloneAndTogether) {
  const TinyModel model = ModelOf("bfloat16", 256, TinyModel::Layers::kPlain);
  TemporaryDirectory directory;
  model.Write(directory.path());
  TableClient client(directory.path(), executor_table(EXECUTOR_ABI_VERSION), [](ExecutorConfig* config) {
    config->set |= CONFIG_BATCH_INVARIANT;
    config->batch_invariant = 1;
    config->peft_cache = Peft(1 << 30);
  });
  ASSERT_EQ(client.code(), EXECUTOR_OK) << client.message();
  const TinyAdapter one(model, 1, 4, 3, 0.1f), two(model, 2, 24, 4, 0.1f);
  const ExecutorLora* const loras[] = {nullptr, &one.lora, nullptr, &two.lora, &one.lora};
  std::vector<TestRequest> requests;
  for (size_t i = 0; i < std::size(loras); ++i)
    requests.push_back(
        Ask(i + 1, RandomPrompt(3 + 40 * static_cast<int>(i), 503, static_cast<uint32_t>(i)), 12, loras[i]));
  std::vector<std::vector<float>> alone;
  for (const TestRequest& request : requests) alone.push_back(client.Run(request).generation_logits);
  std::vector<TestRequest*> pointers;
  for (TestRequest& request : requests) pointers.push_back(&request);
  client.results.clear();
  ASSERT_EQ(client.Submit(pointers), EXECUTOR_OK) << client.message();
  client.WaitForEnds(client.ended() + static_cast<int>(requests.size()));
  for (size_t i = 0; i < requests.size(); ++i) {
    ASSERT_FALSE(alone[i].empty());
    EXPECT_EQ(client.results[i + 1].generation_logits, alone[i]) << "request " << i + 1;
  }
}

TEST_F(Adapters, ThatWereEvictedMayComeAgain) {
  const TinyModel model = ModelOf("float16", 256, TinyModel::Layers::kPlain);
  const TinyAdapter one(model, 1, 4, 3, 0.1f), two(model, 2, 4, 4, 0.1f);
  size_t values = 0;
  for (const std::vector<float>& of : one.values) values += of.size();
  Both both(model, sizeof(float) * values);  // room for one
  ASSERT_EQ(both.cuda->code(), EXECUTOR_OK);
  for (uint64_t id = 1; id <= 6; ++id) {
    const TestRequest request = Ask(id, RandomPrompt(20, 503, 3), 8, id % 2 == 0 ? &two.lora : &one.lora);
    ExpectTheCpusLogits(&both, request, both.cuda->Run(request), 0.02, "request " + std::to_string(id));
  }
}

TEST_F(Adapters, AValueThatTheModelsTypeCannotHoldFailsItsRequestAlone) {
  const TinyModel model = ModelOf("float16", 256, TinyModel::Layers::kPlain);
  Both both(model);
  ASSERT_EQ(both.cuda->code(), EXECUTOR_OK);
  TinyAdapter adapter(model, 1, 4, 3, 0.1f);
  adapter.weights[0] = 1e6f;
  const TestResult failed = both.cuda->Run(Ask(1, RandomPrompt(20, 503, 3), 8, &adapter.lora));
  ASSERT_TRUE(failed.error.has_value());
  EXPECT_EQ(failed.error->code, EXECUTOR_INVALID_INPUT);
  EXPECT_STREQ(failed.error->field, "lora");
  const TestRequest bare = Ask(2, RandomPrompt(20, 503, 3), 8, nullptr);
  ExpectTheCpusLogits(&both, bare, both.cuda->Run(bare), 0.02, "another request");
}

}  // namespace
}  // namespace embedded::cuda
