#include "native/embedded/cuda/weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <thread>
#include <vector>

#include "gpu_test.h"
#include "native/embedded/cuda/check.h"
#include "native/embedded/cuda/convert.h"
#include "native/embedded/cuda/linear.h"
#include "native/embedded/cuda/weight_layout.h"

namespace embedded::cuda {
namespace {

ModelConfig PaddedModel() {
  ModelConfig model{};
  model.dtype = "bfloat16";
  model.hidden_size = 64;
  model.layers = 2;
  model.heads = 2;
  model.kv_heads = 1;
  model.head_dim = 32;
  model.intermediate_size = 100;  // not a multiple of 8
  model.vocab_size = 128;
  model.max_positions = 64;
  return model;
}

class WeightsTest : public GpuTest {};

// Streams of the runner do not wait for the default stream, so what clears the padding must not run there: behind other work on the
// GPU it would clear what had been loaded by then.
TEST_F(WeightsTest, AreThereHoweverBusyTheDefaultStreamIs) {
  const Stream stream = MakeStream();
  const auto load = [&] {
    return LoadWeights(
        std::nullopt, PaddedModel(), Element::kBfloat16, KvType::kElements, [](double) { return true; }, stream.get());
  };
  load();  // the first launch of a kernel waits for the whole GPU
  const auto hold = [](void*) { std::this_thread::sleep_for(std::chrono::milliseconds(300)); };
  Check(cudaLaunchHostFunc(nullptr, hold, nullptr), "a test");
  const LlamaWeights weights = LoadWeights(
      std::nullopt, PaddedModel(), Element::kBfloat16, KvType::kElements, [](double) { return true; }, stream.get());
  Check(cudaDeviceSynchronize(), "a test");
  std::vector<uint16_t> row(64);
  for (const LayerWeights& layer : weights.layers) {
    for (const void* matrix : {layer.qkv.data, layer.dense.data, layer.fc_gate.data}) {
      Check(cudaMemcpy(row.data(), matrix, row.size() * sizeof(uint16_t), cudaMemcpyDeviceToHost), "a test");
      EXPECT_GT(std::count_if(row.begin(), row.end(), [](uint16_t bits) { return bits != 0; }), 32);
    }
  }
}

TEST_F(WeightsTest, OfAQuantizedDummyAreAsLargeAsThoseOfAPlainOne) {
  const Stream stream = MakeStream();
  const DeviceBuffer expanded(size_t{2} * 256 * 128, "a test");
  for (const QuantAlgo algo :
       {QuantAlgo::kW8A16, QuantAlgo::kW4A16, QuantAlgo::kW4A16Awq, QuantAlgo::kFp8, QuantAlgo::kFp8PerChannelPerToken})
    for (const bool has_zero_point : {false, true}) {
      ModelConfig model = PaddedModel();
      model.hidden_size = model.intermediate_size = 128;
      model.quantization = {algo, 64, has_zero_point, false};
      const LlamaWeights weights = LoadWeights(
          std::nullopt, model, Element::kBfloat16, KvType::kElements, [](double) { return true; }, stream.get());
      for (const LayerWeights& layer : weights.layers) {
        ExpandWeights({Element::kBfloat16, 256, 128, layer.fc_gate.form}, layer.fc_gate.data, expanded.data(),
                      stream.get());
        std::vector<uint16_t> bits(size_t{256} * 128);
        Check(cudaStreamSynchronize(stream.get()), "a test");
        Check(cudaMemcpy(bits.data(), expanded.data(), expanded.bytes(), cudaMemcpyDeviceToHost), "a test");
        double squares = 0;
        for (const float value : FromBits(Element::kBfloat16, bits)) squares += double{value} * value;
        const double size = std::sqrt(squares / static_cast<double>(bits.size()) * 128);  // 1 of a plain one
        EXPECT_GT(size, 0.4) << static_cast<int>(algo);
        EXPECT_LT(size, 1.3) << static_cast<int>(algo);
      }
    }
}

// FinishHeads takes neighbours, and CanPackedLinear only pairs that are as its output wants them.
TEST(Weights, OfQueriesKeysAndValuesLieInThePairsThatAreRotatedUnlessTheseAreStoredIn8Bits) {
  ModelConfig model = PaddedModel();
  model.hidden_size = model.intermediate_size = 128;
  model.quantization = {QuantAlgo::kFp8, 64, false, false};
  const auto distance_with = [&](KvType kv_type) {
    LlamaWeights weights;
    LayOutWeights(nullptr, model, kv_type, &weights);
    return weights.layers.front().qkv.form.pair_distance;
  };
  EXPECT_EQ(distance_with(KvType::kElements), model.head_dim / 2);
  EXPECT_EQ(distance_with(KvType::kInt8), 1);
}

TEST(Weights, OfBfloat16AreComputedInFloat16OnTuring) {
  Device turing;
  turing.architecture = 75;
  Device hopper;
  hopper.architecture = 90;
  ModelConfig model = PaddedModel();
  EXPECT_EQ(ElementOf(model, hopper), Element::kBfloat16);
  EXPECT_EQ(ElementOf(model, turing), Element::kFloat16);
  model.dtype = "float16";
  EXPECT_EQ(ElementOf(model, hopper), Element::kFloat16);
}

TEST(Weights, ThatFloat16CannotHoldAreNotConverted) {
  const uint16_t largest_float16 = 0x4780 - 1, twice_as_much = 0x4800;  // as bfloat16: 65,280 and 131,072
  uint16_t out = 0;
  EXPECT_TRUE(ConvertElements(WeightType::kBfloat16, &largest_float16, Element::kFloat16, 1, &out));
  EXPECT_FALSE(ConvertElements(WeightType::kBfloat16, &twice_as_much, Element::kFloat16, 1, &out));
}

}  // namespace
}  // namespace embedded::cuda
