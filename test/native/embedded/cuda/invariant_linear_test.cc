// Linear layers whose bits do not depend on the number of tokens: against float64, and against themselves.
#include "native/embedded/cuda/invariant_linear.h"

#include <gtest/gtest.h>

#include <cstring>

#include "linear_case.h"
#include "matmul_fixture.h"
#include "native/embedded/cuda/linear_layers.h"

namespace linear_test {
namespace {

constexpr Element kElements[] = {Element::kBfloat16, Element::kFloat16};
constexpr Out kOuts[] = {Out::kElements, Out::kFloats, Out::kHidden, Out::kSilu, Out::kRopeAppend};
constexpr InvariantTile kTiles[] = {InvariantTile::k32x32, InvariantTile::k32x64, InvariantTile::k64x64,
                                    InvariantTile::k128x128};
constexpr int kOutputs = 8 * LinearCase::kHeadDim;
constexpr int kTokens = 200;

// The call for `count` of its tokens, from `first` on.
LinearCall Part(const LinearCall& whole, int first, int count) {
  LinearCall part = whole;
  part.tokens = count;
  const size_t at = static_cast<size_t>(first), outputs = static_cast<size_t>(whole.shape.outputs);
  const auto elements = [](auto pointer, size_t count) {
    return reinterpret_cast<decltype(pointer)>(reinterpret_cast<uintptr_t>(pointer) + kElementBytes * count);
  };
  auto& input = std::get<ElementsInput>(part.input);
  input.x = elements(input.x, at * static_cast<size_t>(whole.shape.depth));
  if (auto* const to = std::get_if<ElementsOutput>(&part.output)) to->y = elements(to->y, at * outputs);
  if (auto* const to = std::get_if<FloatsOutput>(&part.output)) to->y += at * outputs;
  if (auto* const to = std::get_if<HiddenOutput>(&part.output)) to->hidden += at * outputs;
  if (auto* const to = std::get_if<SiluOutput>(&part.output)) to->out = elements(to->out, at * outputs / 2);
  if (auto* const to = std::get_if<RopeAppendOutput>(&part.output)) {
    to->queries = elements(to->queries, at * static_cast<size_t>(to->heads * to->head_dim));
    to->positions += at;
    to->block_table += at * static_cast<size_t>(to->max_blocks);
  }
  return part;
}

class InvariantLinearTest : public testing::Test {
 protected:
  void SetUp() override {
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) GTEST_SKIP() << "no NVIDIA GPU";
    if (CurrentDeviceTraits().compute_capability < 80) GTEST_SKIP() << "needs sm_80";
    stream_ = MakeStream();
  }

  // What the case's outputs hold after `run` has done the whole of it in parts of `size` tokens.
  template <typename Run>
  std::vector<double> InParts(const LinearCase& test, int size, Run run) {
    test.Poison();
    const LinearCall whole = test.Call();
    for (int first = 0; first < whole.tokens; first += size)
      run(Part(whole, first, std::min(size, whole.tokens - first)));
    Check(cudaStreamSynchronize(stream_.get()), "a test");
    return test.Got();
  }
  static bool SameBits(const std::vector<double>& a, const std::vector<double>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
  }

  Stream stream_;
};

TEST_F(InvariantLinearTest, EveryTileAgreesWithFloat64) {
  for (const Element element : kElements)
    for (const Out out : kOuts)
      for (const int depth : {8, 264, 1032}) {
        const LinearCase test({element, kOutputs, depth, 70, In::kElements, out});
        const std::vector<double> expected = test.Expected();
        for (const InvariantTile tile : kTiles) {
          const std::vector<double> got =
              InParts(test, 70, [&](const LinearCall& call) { InvariantLinear(call, tile, stream_.get()); });
          double difference = 0, norm = 0;
          for (size_t i = 0; i < got.size(); ++i) {
            if (std::isnan(got[i]) && std::isnan(expected[i])) continue;
            difference += (got[i] - expected[i]) * (got[i] - expected[i]);
            norm += expected[i] * expected[i];
          }
          EXPECT_LT(std::sqrt(difference / norm), element == Element::kBfloat16 ? 3.5e-3 : 5e-4)
              << static_cast<int>(tile) << ": " << test.Name();
        }
      }
}

TEST_F(InvariantLinearTest, ATokensBitsAreTheSameInEveryTileAndAmongAnyNumberOfTokens) {
  for (const Element element : kElements)
    for (const Out out : kOuts)
      for (const int depth : {576, 4096, 8192, 8200}) {
        const LinearCase test({element, kOutputs, depth, kTokens, In::kElements, out});
        const std::vector<double> whole = InParts(test, kTokens, [&](const LinearCall& call) {
          InvariantLinear(call, InvariantTile::k128x128, stream_.get());
        });
        for (const InvariantTile tile : kTiles)
          for (const int size : {1, 7, 33, 65, kTokens})
            EXPECT_TRUE(SameBits(
                whole,
                InParts(test, size, [&](const LinearCall& call) { InvariantLinear(call, tile, stream_.get()); })))
                << static_cast<int>(tile) << " in parts of " << size << ": " << test.Name();
        for (const int size : {1, 3, 5, 8, 16}) {
          if (!CanBlockRingGemv(Part(test.Call(), 0, size), CurrentDeviceTraits())) continue;
          EXPECT_TRUE(
              SameBits(whole, InParts(test, size, [&](const LinearCall& call) { BlockRingGemv(call, stream_.get()); })))
              << "block ring in parts of " << size << ": " << test.Name();
        }
      }
}

using InvariantLayers = WithMatmul<InvariantLinearTest>;

TEST_F(InvariantLayers, GiveTheSameBitsForAnyNumberOfTokensOverAnyWeights) {
  constexpr WeightForm kForms[] = {
      {}, {Codes::kInt8, Scales::kRows}, {Codes::kInt4, Scales::kGroups128Zeros}, {Codes::kFp8, Scales::kRows}};
  const LinearLayers layers(matmul_.get(), Sums::kBatchInvariant);
  for (const WeightForm& form : kForms) {
    const LinearCase test({Element::kBfloat16, kOutputs, 640, kTokens, In::kElements, Out::kSilu, form});
    const DeviceBuffer expanded(kElementBytes * kOutputs * 640, "a test");
    const auto run = [&](const LinearCall& call) { layers.Run(call, {nullptr, expanded.data()}, stream_.get()); };
    const std::vector<double> whole = InParts(test, kTokens, run);
    for (const int size : {1, 2, 16, 17, 64, 65}) EXPECT_TRUE(SameBits(whole, InParts(test, size, run))) << size;
  }
}

}  // namespace
}  // namespace linear_test
