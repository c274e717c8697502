// Quantized checkpoints on the CUDA executor, against the CPU executor on plain weights of the same values.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "../table_client.h"
#include "expect_failure.h"
#include "gpu_test.h"
#include "native/embedded/checkpoint/config.h"
#include "native/embedded/cuda/weights.h"
#include "quantized_checkpoint.h"

extern "C" const ExecutorTable* executor_table(uint32_t abi_version);

namespace embedded::cuda {
namespace {

using Options = QuantizedCheckpoint::Options;

TinyModel ModelOf(const char* dtype, TinyModel::Layers layers_have) {
  TinyModel model;
  model.dtype = dtype;
  model.hidden_size = 128;
  model.heads = 4;
  model.kv_heads = 2;
  model.head_dim = 64;
  model.intermediate_size = 384;
  model.vocab_size = 503;
  model.tied_head = false;
  model.max_positions = 512;
  model.layers_have = layers_have;
  model.build_config = R"({"max_batch_size": 32, "max_num_tokens": 512})";
  return model.Fill();
}

struct Form {
  const char* name;
  Options options;
};
void PrintTo(const Form& form, std::ostream* out) { *out << form.name; }

class QuantizedModels : public GpuTestWith<Form> {};

TEST_P(QuantizedModels, HaveTheLogitsOfTheWeightsTheyMean) {
  for (const char* dtype : {"float16", "bfloat16"})
    for (const auto layers_have : {TinyModel::Layers::kPlain, TinyModel::Layers::kWithAllThereIs}) {
      const TinyModel model = ModelOf(dtype, layers_have);
      const QuantizedCheckpoint checkpoint(model, GetParam().options);
      const TemporaryDirectory plain, quantized;
      checkpoint.plain.Write(plain.path());
      checkpoint.Write(quantized.path());
      TableClient cpu(plain.path());
      TableClient cuda(quantized.path(), executor_table(EXECUTOR_ABI_VERSION));
      ASSERT_EQ(cpu.code(), EXECUTOR_OK) << cpu.message();
      ASSERT_EQ(cuda.code(), EXECUTOR_OK) << cuda.message();
      for (const int prompt_tokens : {1, 9, 30, 200}) {
        const std::vector<int32_t> prompt = RandomPrompt(prompt_tokens, model.vocab_size, 3);
        TestRequest request(1, prompt, 6);
        request.output.flags = OUTPUT_RETURN_CONTEXT_LOGITS | OUTPUT_RETURN_GENERATION_LOGITS;
        const TestResult got = cuda.Run(request);
        ASSERT_EQ(got.finish, FINISH_LENGTH) << (got.error ? got.error->message : cuda.message());
        std::vector<int32_t> all = prompt;
        all.insert(all.end(), got.tokens.begin(), got.tokens.end() - 1);
        TestRequest whole(2, all, 1);
        whole.output.flags = OUTPUT_RETURN_CONTEXT_LOGITS;
        const std::vector<float> expected = cpu.Run(whole).context_logits;
        std::vector<float> logits = got.context_logits;  // the last row comes again as the first of what is generated
        logits.resize(logits.size() - static_cast<size_t>(model.vocab_size));
        logits.insert(logits.end(), got.generation_logits.begin(), got.generation_logits.end());
        ASSERT_EQ(logits.size(), expected.size());
        double difference = 0, norm = 0;
        for (size_t i = 0; i < logits.size(); ++i) {
          difference += (double{logits[i]} - expected[i]) * (double{logits[i]} - expected[i]);
          norm += double{expected[i]} * expected[i];
        }
        EXPECT_LT(std::sqrt(difference / norm), std::string(dtype) == "float16" ? 0.01 : 0.08)
            << dtype << ", " << prompt_tokens << " tokens";
      }
    }
}

INSTANTIATE_TEST_SUITE_P(All, QuantizedModels,
                         testing::Values(Form{"W8A16", {"W8A16"}}, Form{"W4A16", {"W4A16"}}, Form{"AWQ", {"W4A16_AWQ"}},
                                         Form{"AWQ_groups_of_64", {"W4A16_AWQ", 64}},
                                         Form{"AWQ_prequant", {"W4A16_AWQ", 128, false, true}},
                                         Form{"GPTQ", {"W4A16_AWQ", 128, true}},
                                         Form{"GPTQ_groups_of_32", {"W4A16_AWQ", 32, true}}, Form{"FP8", {"FP8"}},
                                         Form{"FP8_rows", {"FP8_PER_CHANNEL_PER_TOKEN"}}),
                         [](const auto& info) { return std::string(info.param.name); });

// --- What cannot be loaded is refused before memory is taken; none of these needs a GPU.

class QuantizedWeights : public testing::Test {
 protected:
  WeightSizes Plan(const QuantizedCheckpoint& checkpoint) const {
    checkpoint.Write(directory_.path());
    const EngineConfig config =
        ReadEngineConfig(directory_.path(),
                         {QuantAlgo::kW8A16, QuantAlgo::kW4A16Awq, QuantAlgo::kFp8, QuantAlgo::kFp8PerChannelPerToken});
    return PlanWeights(directory_.path() + "/rank0.safetensors", config.model);
  }

  const TinyModel model_ = ModelOf("bfloat16", TinyModel::Layers::kPlain);
  TemporaryDirectory directory_;
};

TEST_F(QuantizedWeights, TakeTheirOwnBytes) {
  const uint64_t plain_bytes = Plan({model_, {"FP8_PER_CHANNEL_PER_TOKEN"}}).bytes;
  const uint64_t int8_bytes = Plan({model_, {"W8A16"}}).bytes;
  const WeightSizes int4 = Plan({model_, {"W4A16_AWQ"}});
  EXPECT_LT(int8_bytes, plain_bytes);
  EXPECT_LT(int4.bytes, int8_bytes);
  EXPECT_EQ(int4.expanded_bytes, uint64_t{2} * 2 * 384 * 128) << "fc and gate";
}

TEST_F(QuantizedWeights, WithoutTheirScalesAreRefused) {
  QuantizedCheckpoint checkpoint(model_, {"W4A16_AWQ"});
  checkpoint.tensors.erase("transformer.layers.1.mlp.proj.weights_scaling_factor");
  ExpectFailure([&] { Plan(checkpoint); }, EXECUTOR_ENGINE_WEIGHTS,
                "has no tensor transformer.layers.1.mlp.proj.weights_scaling_factor");
}

TEST_F(QuantizedWeights, OfAnotherShapeAreRefused) {
  QuantizedCheckpoint checkpoint(model_, {"W4A16_AWQ"});
  auto& tensor = checkpoint.tensors["transformer.layers.0.attention.dense.weight"];
  tensor.shape = {tensor.shape[1], tensor.shape[0]};
  ExpectFailure([&] { Plan(checkpoint); }, EXECUTOR_ENGINE_WEIGHTS,
                "transformer.layers.0.attention.dense.weight with the shape [256, 64]");
}

TEST_F(QuantizedWeights, OfGroupsThatTheKernelsLackAreRefused) {
  ExpectFailure([&] { Plan({model_, {"W4A16_AWQ", 48}}); }, EXECUTOR_MODEL_UNSUPPORTED, "group_size is 48");
}

TEST_F(QuantizedWeights, WhoseInputHasTwoSetsOfFactorsAreRefused) {
  QuantizedCheckpoint checkpoint(model_, {"W4A16_AWQ", 128, false, true});
  checkpoint.tensors["transformer.layers.1.mlp.gate.prequant_scaling_factor"].bytes[3] ^= 1;
  ExpectFailure([&] { Plan(checkpoint); }, EXECUTOR_MODEL_UNSUPPORTED,
                "transformer.layers.1.mlp.gate.prequant_scaling_factor differ");
}

TEST_F(QuantizedWeights, OfFcAloneAreRefused) {
  QuantizedCheckpoint checkpoint(model_, {"FP8"});
  checkpoint.tensors["transformer.layers.0.mlp.gate.weight"] = {"BF16", {384, 128}, std::string(2 * 384 * 128, 0)};
  ExpectFailure([&] { Plan(checkpoint); }, EXECUTOR_MODEL_UNSUPPORTED, "one quantized and one not");
}

}  // namespace
}  // namespace embedded::cuda
