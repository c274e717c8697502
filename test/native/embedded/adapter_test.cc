// What of a LoRA adapter each rank of an engine has.
#include "native/embedded/adapter.h"

#include <gtest/gtest.h>

namespace embedded {
namespace {

TEST(Adapter, ARankHasItsOutputsOfModulesSplitByRowsAndItsInputsOfTheOthers) {
  ModelConfig model{};
  model.hidden_size = 64;
  model.layers = 2;
  model.heads = 8;
  model.kv_heads = 2;
  model.head_dim = 4;
  model.intermediate_size = 96;
  model.tp_size = 4;  // two ranks share a head of keys
  const auto expect = [&](LoraModule module, int inputs, int outputs, int first_input, int first_output) {
    const LoraPart part = LoraPartOf(module, model, 2);
    EXPECT_EQ(part.inputs, inputs);
    EXPECT_EQ(part.outputs, outputs);
    EXPECT_EQ(part.first_input, first_input);
    EXPECT_EQ(part.first_output, first_output);
  };
  expect(LoraModule::kQuery, 64, 8, 0, 16);
  expect(LoraModule::kKey, 64, 4, 0, 4);
  expect(LoraModule::kValue, 64, 4, 0, 4);
  expect(LoraModule::kDense, 8, 64, 16, 0);
  expect(LoraModule::kFc, 64, 24, 0, 48);
  expect(LoraModule::kGate, 64, 24, 0, 48);
  expect(LoraModule::kProj, 24, 64, 48, 0);
  EXPECT_EQ(LoraPartOf(LoraModule::kProj, model, 2).all_inputs, 96);
}

}  // namespace
}  // namespace embedded
