// load_format LOAD_FORMAT_DUMMY: weights that no file holds.
#include "native/embedded/dummy_weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "native/embedded/cpu/float16.h"
#include "table_client.h"

namespace embedded {
namespace {

void WithDummyWeights(ExecutorConfig* config) {
  config->set |= CONFIG_LOAD_FORMAT;
  config->load_format = LOAD_FORMAT_DUMMY;
}

// Logits of a prompt by a model of which only config.json is there.
std::vector<float> DummyLogits(const TinyModel& model) {
  const TemporaryDirectory directory;
  WriteFile(directory.path() + "/config.json", model.ConfigJson());
  TableClient client(directory.path(), cpu::CpuExecutorTable(), WithDummyWeights);
  EXPECT_EQ(client.code(), EXECUTOR_OK) << client.message();
  TestRequest request(1, RandomPrompt(40, model.vocab_size, 7), 1);
  request.output.flags = OUTPUT_RETURN_CONTEXT_LOGITS;
  return client.Run(request).context_logits;
}

// The tensors of `model` by their definition, in the order that numbers them.
TinyModel FilledByDefinition(TinyModel model) {
  model.Fill();
  std::vector<std::string> names{"transformer.vocab_embedding.weight"};
  for (int i = 0; i < model.layers; ++i)
    for (const char* name :
         {"input_layernorm", "attention.qkv", "attention.dense", "post_layernorm", "mlp.fc", "mlp.gate", "mlp.proj"})
      names.push_back("transformer.layers." + std::to_string(i) + "." + name + ".weight");
  names.push_back("transformer.ln_f.weight");
  if (!model.tied_head) names.push_back("lm_head.weight");
  EXPECT_EQ(names.size(), model.tensors.size());
  for (size_t i = 0; i < names.size(); ++i) {
    std::vector<float>& values = model.tensors.at(names[i]);
    const std::vector<int>& shape = model.shapes.at(names[i]);
    const uint32_t number = static_cast<uint32_t>(i);
    FillDummyWeights(shape.size() == 1 ? DummyNorm(number) : DummyMatrix(number, shape.back()), 0, values.size(),
                     values.data());
    for (float& value : values) value = Rounded(value, model.dtype);
  }
  return model;
}

TEST(DummyWeights, AreTheModelOfTheirDefinition) {
  for (const char* dtype : {"float32", "bfloat16"}) {
    TinyModel model;
    model.dtype = dtype;
    model.tied_head = false;
    model.intermediate_size = 70;
    TableClient client(FilledByDefinition(model));
    TestRequest request(1, RandomPrompt(40, model.vocab_size, 7), 1);
    request.output.flags = OUTPUT_RETURN_CONTEXT_LOGITS;
    const std::vector<float> expected = client.Run(request).context_logits;
    EXPECT_EQ(expected.size(), 40u * 101u);
    EXPECT_EQ(DummyLogits(model), expected) << dtype;
  }
}

TEST(DummyWeights, KeepTheLogitsOfEightyLayersOfAnyTypeNearOne) {
  for (const char* dtype : {"float32", "float16", "bfloat16"}) {
    TinyModel model;
    model.layers = 80;
    model.dtype = dtype;
    model.tied_head = false;
    double squares = 0;
    const std::vector<float> logits = DummyLogits(model);
    for (const float logit : logits) squares += double{logit} * logit;
    EXPECT_NEAR(std::sqrt(squares / static_cast<double>(logits.size())), 1, 0.3) << dtype;
  }
}

TEST(DummyWeights, OfAPlaceAreTheSameWhereverFillingStarts) {
  const DummyTensor tensor = DummyMatrix(3, 100);
  std::vector<float> all(50);
  FillDummyWeights(tensor, 1000, all.size(), all.data());
  for (size_t first = 0; first < 8; ++first) {
    std::vector<float> part(all.size() - first);
    FillDummyWeights(tensor, 1000 + first, part.size(), part.data());
    EXPECT_EQ(part, std::vector<float>(all.begin() + static_cast<std::ptrdiff_t>(first), all.end()));
  }
}

TEST(Float16, EveryFiniteNumberComesBackAndWhatLiesBetweenGoesToTheEvenOne) {
  for (uint32_t bits = 0; bits < 0x7BFF; ++bits) {
    for (const uint32_t sign : {0u, 0x8000u}) {
      const uint16_t number = static_cast<uint16_t>(bits | sign), next = static_cast<uint16_t>(number + 1);
      const float value = cpu::Float16ToFloat(number);
      ASSERT_EQ(cpu::FloatToFloat16(value), number);
      const float half_way = (value + cpu::Float16ToFloat(next)) / 2;
      ASSERT_EQ(cpu::FloatToFloat16(half_way), number % 2 == 0 ? number : next) << number;
    }
  }
}

}  // namespace
}  // namespace embedded
