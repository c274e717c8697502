// The whole executor against a Llama in double precision.
#include <gtest/gtest.h>

#include <cmath>

#include "../table_client.h"
#include "native/embedded/cpu/dispatch.h"
#include "native/embedded/cpu/rope.h"
#include "reference_llama.h"
#include "tiny_blocks.h"

namespace embedded::cpu {
namespace {

// The largest difference of the executor's context logits from the reference's, over the largest reference logit.
double LargestError(const TinyModel& model, int prompt_tokens) {
  ModelConfig config{};
  config.head_dim = model.head_dim;
  config.rotary_base = model.rotary_base;
  const Rope rope(config);
  const ReferenceLlama reference(model, {rope.frequencies().begin(), rope.frequencies().end()});
  TableClient client(model);
  if (client.code() != EXECUTOR_OK) {
    ADD_FAILURE() << client.message();
    return 1;
  }
  TestRequest request(1, RandomPrompt(prompt_tokens, model.vocab_size, 7), 1);
  request.output.flags = OUTPUT_RETURN_CONTEXT_LOGITS;
  const TestResult result = client.Run(request);
  const Rows expected = reference.Logits(request.tokens);
  EXPECT_EQ(result.context_logits.size(), expected.size() * expected[0].size());
  double error = 0, largest = 0;
  for (size_t t = 0; t < expected.size(); ++t)
    for (size_t v = 0; v < expected[t].size(); ++v) {
      error = std::max(error, std::abs(expected[t][v] - result.context_logits[t * expected[t].size() + v]));
      largest = std::max(largest, std::abs(expected[t][v]));
    }
  return error / largest;
}

TEST(Reference, GroupedQueriesWithAnOddHeadSizeGiveTheReferencesLogits) {
  EXPECT_LT(LargestError(TinyModel().Fill(), 100), 2e-5);
}

TEST(Reference, OneKeyAndValueHeadForAllGivesTheReferencesLogits) {
  TinyModel model;
  model.kv_heads = 1;
  EXPECT_LT(LargestError(model.Fill(), 70), 2e-5);
}

TEST(Reference, AsManyKeyHeadsAsQueryHeadsAndAnUntiedHeadGiveTheReferencesLogits) {
  TinyModel model;
  model.kv_heads = 4;
  model.tied_head = false;
  EXPECT_LT(LargestError(model.Fill(), 70), 2e-5);
}

TEST(Reference, WidthsThatFillNoPanelGiveTheReferencesLogits) {
  TinyModel model;
  model.hidden_size = 42;
  model.heads = 3;
  model.kv_heads = 3;
  model.head_dim = 14;
  model.intermediate_size = 35;
  EXPECT_LT(LargestError(model.Fill(), 40), 2e-5);
}

// Keys and values of float16 lose 3e-4.
TEST(Reference, Float16WeightsGiveTheReferencesLogits) {
  TinyModel model;
  model.dtype = "float16";
  EXPECT_LT(LargestError(model.Fill(), 50), 1e-3);
}

TEST(Reference, Bfloat16WeightsGiveTheReferencesLogitsOrThoseOfRoundedInputs) {
  TinyModel model;
  model.dtype = "bfloat16";
  model.Fill();
  for (const Kernels* kernels : SupportedKernels()) {
    setenv("NODE_TENSORRT_LLM_CPU_KERNELS", kernels->name, 1);
    const bool rounds = kernels->layout(WeightType::kBfloat16).input != nullptr;
    EXPECT_LT(LargestError(model, 50), rounds ? 1e-2 : 1e-3) << kernels->name;
  }
  unsetenv("NODE_TENSORRT_LLM_CPU_KERNELS");
}

TEST(Reference, QueriesKeysAndValuesInTensorsOfTheirOwnGiveTheReferencesLogits) {
  TinyModel model;
  model.qkv_apart = true;
  EXPECT_LT(LargestError(model.Fill(), 50), 2e-5);
}

TEST(Reference, LayersWiderThanOneSumGiveTheReferencesLogits) {
  TinyModel model;
  model.hidden_size = 320;
  model.heads = 10;
  model.kv_heads = 5;
  model.head_dim = 64;
  model.intermediate_size = 600;
  EXPECT_LT(LargestError(model.Fill(), 20), 5e-5);
}

// Inputs are rounded to eight bits.
TEST(Reference, MatricesInBlocksOfAllTypesGiveTheReferencesLogits) { EXPECT_LT(LargestError(BlockModel(), 50), 0.04); }

}  // namespace
}  // namespace embedded::cpu
