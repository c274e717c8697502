// Quantized checkpoints on the CUDA executor, against the CPU executor on plain weights of the same values.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "../cpu/tiny_blocks.h"
#include "../table_client.h"
#include "expect_failure.h"
#include "gpu_model.h"
#include "gpu_test.h"
#include "native/embedded/checkpoint/config.h"
#include "native/embedded/cuda/weights.h"
#include "quantized_checkpoint.h"

extern "C" const ExecutorTable* executor_table(uint32_t abi_version);

namespace embedded::cuda {
namespace {

using Options = QuantizedCheckpoint::Options;

TinyModel ModelOf(const char* dtype, TinyModel::Layers layers_have) {
  TinyModel model = GpuModel(dtype);
  model.intermediate_size = 384;
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

// Prompts and decode, on the CPU from the plain weights.
void ExpectSameLogits(const std::string& plain, const std::string& quantized, int vocab_size, double tolerance) {
  TableClient cpu(plain);
  TableClient cuda(quantized, executor_table(EXECUTOR_ABI_VERSION));
  ASSERT_EQ(cpu.code(), EXECUTOR_OK) << cpu.message();
  ASSERT_EQ(cuda.code(), EXECUTOR_OK) << cuda.message();
  for (const int prompt_tokens : {1, 9, 30, 200}) {
    const std::vector<int32_t> prompt = RandomPrompt(prompt_tokens, vocab_size, 3);
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
    logits.resize(logits.size() - static_cast<size_t>(vocab_size));
    logits.insert(logits.end(), got.generation_logits.begin(), got.generation_logits.end());
    ASSERT_EQ(logits.size(), expected.size());
    double difference = 0, norm = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
      difference += (double{logits[i]} - expected[i]) * (double{logits[i]} - expected[i]);
      norm += double{expected[i]} * expected[i];
    }
    EXPECT_LT(std::sqrt(difference / norm), tolerance) << prompt_tokens << " tokens";
  }
}

double Tolerance(const std::string& dtype) { return dtype == "float16" ? 0.01 : 0.08; }

class QuantizedModels : public GpuTestWith<Form> {};

TEST_P(QuantizedModels, HaveTheLogitsOfTheWeightsTheyMean) {
  for (const char* dtype : {"float16", "bfloat16"})
    for (const auto layers_have : {TinyModel::Layers::kPlain, TinyModel::Layers::kWithAllThereIs}) {
      SCOPED_TRACE(dtype);
      const TinyModel model = ModelOf(dtype, layers_have);
      const QuantizedCheckpoint checkpoint(model, GetParam().options);
      const TemporaryDirectory plain, quantized;
      checkpoint.plain.Write(plain.path());
      checkpoint.Write(quantized.path());
      ExpectSameLogits(plain.path(), quantized.path(), model.vocab_size, Tolerance(dtype));
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

// Matrices in ggml's blocks, each of the next of `types`; one type for all, or several mixed.
TinyModel ModelInBlocks(const char* dtype, bool tied_head, const std::vector<WeightType>& types) {
  TinyModel model = ModelOf(dtype, TinyModel::Layers::kPlain);
  model.hidden_size = 256;
  model.intermediate_size = 512;
  model.tied_head = tied_head;
  model.qkv_apart = true;
  model.tensors.clear();
  model.shapes.clear();
  model.Fill();
  uint32_t next = 0;
  const auto in_blocks = [&](const std::string& name, int rows, int depth) {
    const WeightType type = types[next++ % types.size()];
    const auto scales = std::find_if(std::begin(cpu::kBlockScales), std::end(cpu::kBlockScales),
                                     [&](const cpu::BlockScales& each) { return each.type == type; });
    std::vector<float> weights;
    const float spread = 1 / std::sqrt(static_cast<float>(depth));
    model.blocks[name] = {BlockOf(type).type, cpu::RandomBlocks(*scales, rows, depth, spread, next, &weights)};
    return weights;
  };
  for (auto& [name, weights] : model.tensors) {
    const std::vector<int> shape = model.shapes.at(name);
    if (shape.size() < 2) continue;
    const size_t fused = name.find("qkv.weight");
    if (fused == std::string::npos) {
      weights = in_blocks(name, shape[0], shape[1]);
      continue;
    }
    weights.clear();
    for (const char* part : {"q", "k", "v"}) {
      const int rows = (*part == 'q' ? model.heads : model.kv_heads) * model.head_dim;
      const std::vector<float> values = in_blocks(name.substr(0, fused) + part + ".weight", rows, shape[1]);
      weights.insert(weights.end(), values.begin(), values.end());
    }
  }
  return model;
}

class ModelsInBlocks : public GpuTest {};

TEST_F(ModelsInBlocks, HaveTheLogitsOfTheirWeights) {
  using Type = WeightType;
  const std::vector<Type> all{Type::kQ4_0, Type::kQ4_1, Type::kQ5_0, Type::kQ5_1,
                              Type::kQ8_0, Type::kQ4_K, Type::kQ5_K, Type::kQ6_K};
  std::vector<std::vector<Type>> cases{
      {Type::kQ4_K, Type::kQ6_K, Type::kQ4_K}, {Type::kQ6_K, Type::kQ5_0, Type::kQ8_0}, all};
  for (const Type type : all) cases.push_back({type});
  for (const auto& types : cases)
    for (const char* dtype : {"float16", "bfloat16"})
      for (const bool tied_head : {false, true}) {
        SCOPED_TRACE(std::string(dtype) + ", " + std::to_string(types.size()) + " types from " +
                     BlockOf(types[0]).type);
        const TinyModel model = ModelInBlocks(dtype, tied_head, types);
        TinyModel means = model;
        means.blocks.clear();
        means.qkv_apart = false;
        means.dtype = "float32";
        const TemporaryDirectory plain, quantized;
        means.Write(plain.path());
        model.Write(quantized.path());
        ExpectSameLogits(plain.path(), quantized.path(), model.vocab_size, Tolerance(dtype));
      }
}

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

TEST_F(QuantizedWeights, InBlocksThatTheKernelsLackAreRefused) {
  const auto plan = [&](const std::vector<WeightType>& types) {
    ModelInBlocks("bfloat16", false, types).Write(directory_.path());
    const EngineConfig config = ReadEngineConfig(directory_.path(), {QuantAlgo::kGgml});
    return PlanWeights(directory_.path() + "/rank0.safetensors", config.model);
  };
  EXPECT_LT(plan({WeightType::kQ4_K}).bytes, plan({WeightType::kQ6_K}).bytes);
  ExpectFailure([&] { plan({WeightType::kQ3_K}); }, EXECUTOR_MODEL_UNSUPPORTED, ".weight is in Q3_K; expected Q4_0");
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
