// Every kernel of the linear layers against float64, over shapes that are odd on purpose, and cuBLASLt beside them.
#include "native/embedded/cuda/linear.h"

#include <gtest/gtest.h>

#include <cmath>

#include "../tiny_checkpoint.h"
#include "linear_case.h"
#include "matmul_fixture.h"
#include "native/embedded/cuda/linear_layers.h"

namespace linear_test {
namespace {

constexpr Element kElements[] = {Element::kBfloat16, Element::kFloat16};

// Half a unit in the last place of what is rounded once, and a little for fp32 sums that are not.
double Tolerance(const Case& c) {
  const bool rounds = c.in == In::kNormalized || (c.out != Out::kFloats && c.out != Out::kHidden);
  if (!rounds) return 2e-5;
  return c.element == Element::kBfloat16 ? 3.5e-3 : 5e-4;
}

// The norm of the difference over the norm of what is expected; NaN where one of the two is NaN alone.
double RelativeError(const std::vector<double>& got, const std::vector<double>& expected) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(got[i]) && std::isnan(expected[i])) continue;
    difference += (got[i] - expected[i]) * (got[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  return norm == 0 ? difference : std::sqrt(difference / norm);
}

class Linear : public testing::Test {
 protected:
  void SetUp() override {
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) GTEST_SKIP() << "no NVIDIA GPU";
    stream_ = MakeStream();
  }

  template <typename Run>
  void ExpectRight(const LinearCase& test, const std::vector<double>& expected, double tolerance, const char* kernel,
                   Run run) {
    test.Poison();
    run(test.Call());
    ASSERT_EQ(cudaStreamSynchronize(stream_.get()), cudaSuccess) << kernel << ": " << test.Name();
    EXPECT_LT(RelativeError(test.Got(), expected), tolerance) << kernel << ": " << test.Name();
  }

  // Every own kernel that can do the case, the plain one first.
  void ExpectAllRight(const Case& c) {
    const LinearCase test(c);
    const std::vector<double> expected = test.Expected();
    const double tolerance = Tolerance(c);
    const DeviceTraits& traits = CurrentDeviceTraits();
    const auto check = [&](const char* name, bool can, void (*kernel)(const LinearCall&, cudaStream_t)) {
      if (!can) return;
      ++checked_;
      ExpectRight(test, expected, tolerance, name, [&](const LinearCall& call) { kernel(call, stream_.get()); });
    };
    check("packed", test.Call().shape.form.is_packed() && CanPackedLinear(test.Call(), traits),
          [](const LinearCall& call, cudaStream_t stream) { PackedLinear(call, expanded().data(), stream); });
    if (c.form.is_packed()) return;
    check("plain", true, PlainLinear);
    check("ring", CanRingGemv(test.Call(), traits), RingGemv);
    check("block-ring", CanBlockRingGemv(test.Call(), traits), BlockRingGemv);
    check("direct", CanDirectGemv(test.Call(), traits), DirectGemv);
  }

  // Room for any case's weights as elements.
  static const DeviceBuffer& expanded() {
    static const DeviceBuffer buffer(size_t{64} << 20, "a test");
    return buffer;
  }

  Stream stream_;
  int checked_ = 0;
};

TEST_F(Linear, KernelsAgreeWithFloat64ForAnyShape) {
  constexpr int kShapes[][2] = {{1, 8},     {2, 8},     {3, 16},     {17, 24},   {96, 576},  {131, 264}, {300, 1024},
                                {67, 1032}, {576, 576}, {576, 1536}, {40, 4096}, {77, 4104}, {33, 8192}, {50, 14336}};
  for (const Element element : kElements)
    for (const auto& [outputs, depth] : kShapes)
      for (const int tokens : {1, 2, 5, 8, 9, 16})
        for (const Out out : {Out::kElements, Out::kFloats, Out::kHidden})
          ExpectAllRight({element, outputs, depth, tokens, In::kElements, out});
  RecordProperty("kernels_checked", checked_);
}

TEST_F(Linear, KernelsNormalizeTheirInputForAnyDepth) {
  for (const Element element : kElements)
    for (const int depth : {8, 24, 264, 576, 1032, 4096, 8192, 14336})
      for (const Out out : {Out::kElements, Out::kFloats, Out::kHidden})
        ExpectAllRight({element, 35, depth, 1, In::kNormalized, out});
}

TEST_F(Linear, KernelsMultiplyGateAndUpInPairs) {
  for (const Element element : kElements)
    for (const In in : {In::kElements, In::kNormalized})
      for (const int outputs : {2, 26, 3072})
        for (const int depth : {64, 576, 4096})
          for (const int tokens : {1, 3, 8, 16})
            // A norm rounds x, so that a single output that happens to be small has no bound.
            if (in == In::kElements || (tokens == 1 && outputs > 2))
              ExpectAllRight({element, outputs, depth, tokens, in, Out::kSilu});
}

TEST_F(Linear, KernelsRotateAndAppendToThePagedCache) {
  constexpr int kHeads[] = {1, 6};
  for (const Element element : kElements)
    for (const In in : {In::kElements, In::kNormalized})
      for (const int heads : kHeads)
        for (const int depth : {64, 576, 4096})
          for (const int tokens : {1, 4, 7, 16})
            if (in == In::kElements || tokens == 1)
              ExpectAllRight({element, (heads + 2 * LinearCase::kKvHeads) * LinearCase::kHeadDim, depth, tokens, in,
                              Out::kRopeAppend});
}

TEST_F(Linear, KernelsFillEveryMultiprocessorWithLargeLayers) {
  ExpectAllRight({Element::kBfloat16, 6144, 4096, 1, In::kElements, Out::kElements});
  ExpectAllRight({Element::kBfloat16, 6144, 4096, 4, In::kElements, Out::kHidden});
  ExpectAllRight({Element::kFloat16, 70001, 512, 1, In::kNormalized, Out::kFloats});
  ExpectAllRight({Element::kFloat16, 70001, 512, 16, In::kElements, Out::kFloats});
}

// Kernels of a chain overlap: each starts while the one before still runs, and must not read what that one has yet to write.
TEST_F(Linear, OverlappingKernelsWaitForWhatTheyRead) {
  constexpr int kLayers = 24;
  const Case c{Element::kBfloat16, 2048, 2048, 1, In::kNormalized, Out::kHidden};
  const LinearCase test(c), other(c);
  // a += f(b), then b += f(a), and so on: no kernel reads what it writes.
  const auto chain = [&](void (*kernel)(const LinearCall&, cudaStream_t)) {
    test.Poison();
    other.Poison();
    LinearCall to_a = test.Call(), to_b = other.Call();
    std::get<NormalizedInput>(to_a.input).hidden = std::get<HiddenOutput>(to_b.output).hidden;
    std::get<NormalizedInput>(to_b.input).hidden = std::get<HiddenOutput>(to_a.output).hidden;
    for (int layer = 0; layer < kLayers; ++layer) kernel(layer % 2 == 0 ? to_a : to_b, stream_.get());
    Check(cudaStreamSynchronize(stream_.get()), "a test");
    return test.Got();
  };
  const std::vector<double> plain = chain(PlainLinear);
  const DeviceTraits& traits = CurrentDeviceTraits();
  ASSERT_TRUE(CanDirectGemv(test.Call(), traits));
  EXPECT_LT(RelativeError(chain(DirectGemv), plain), 2e-3);
  if (!CanRingGemv(test.Call(), traits)) return;
  const std::vector<double> ring = chain(RingGemv);
  EXPECT_LT(RelativeError(ring, plain), 2e-3);
  for (int repeat = 0; repeat < 5; ++repeat) EXPECT_EQ(RelativeError(chain(RingGemv), ring), 0) << "not repeatable";
}

constexpr WeightForm kForms[] = {
    {Codes::kInt8, Scales::kRows},         {Codes::kInt4, Scales::kRows},           {Codes::kFp8, Scales::kRows},
    {Codes::kInt4, Scales::kGroups128},    {Codes::kInt4, Scales::kGroups128Zeros}, {Codes::kInt4, Scales::kGroups32},
    {Codes::kInt4, Scales::kGroups32Zeros}};

bool Fits(const WeightForm& form, int outputs, int depth) {
  if (form.scales == Scales::kRows) return true;
  return outputs % 2 == 0 && depth % (form.groups_in_step() == 1 ? 128 : 32) == 0;
}

TEST_F(Linear, PackedWeightsGiveWhatTheyMeanForAnyShape) {
  constexpr int kShapes[][2] = {{2, 8},   {3, 16},    {17, 24},   {96, 576},   {131, 264},
                                {8, 640}, {40, 4096}, {34, 8192}, {18, 14336}, {4096, 128}};
  for (const Element element : kElements)
    for (const WeightForm& form : kForms)
      for (const auto& [outputs, depth] : kShapes)
        for (const int tokens : {1, 8, 9, 31, 64})
          if (Fits(form, outputs, depth))
            ExpectAllRight(
                {element, outputs, depth, tokens, In::kElements, tokens % 2 == 0 ? Out::kHidden : Out::kFloats, form});
  EXPECT_GT(checked_, 400);
}

TEST_F(Linear, PackedWeightsAreFollowedByEveryOutput) {
  for (const Element element : kElements)
    for (const WeightForm& form : kForms)
      for (const int depth : {128, 4096})
        for (const int tokens : {1, 3, 16, 50}) {
          ExpectAllRight({element, 8 * LinearCase::kHeadDim, depth, tokens, In::kElements, Out::kRopeAppend, form});
          ExpectAllRight({element, 96, depth, tokens, In::kElements, Out::kSilu, form});
          ExpectAllRight({element, 34, depth, tokens, In::kElements, Out::kElements, form});
          if (tokens > 1) continue;
          ExpectAllRight({element, 8 * LinearCase::kHeadDim, depth, tokens, In::kNormalized, Out::kRopeAppend, form});
          // A norm rounds x, so that few outputs that happen to be small have no bound.
          ExpectAllRight({element, 1024, depth, tokens, In::kNormalized, Out::kSilu, form});
          ExpectAllRight({element, 34, depth, tokens, In::kNormalized, Out::kFloats, form});
        }
  EXPECT_GT(checked_, 400);
}

using MatmulTest = WithMatmul<Linear>;

TEST_F(MatmulTest, AgreesWithFloat64ForEveryOutput) {
  const LinearLayers layers(matmul_.get());
  for (const Element element : kElements)
    for (const Out out : {Out::kElements, Out::kFloats, Out::kHidden, Out::kSilu, Out::kRopeAppend})
      for (const int tokens : {1, 3, 17, 64, 130}) {
        const int outputs = 8 * LinearCase::kHeadDim;
        const Case c{element, outputs, 576, tokens, In::kElements, out};
        const LinearCase test(c);
        ASSERT_TRUE(layers.Can(LinearKernel::kMatmul, test.Call())) << test.Name();
        const DeviceBuffer scratch(static_cast<size_t>(tokens) * outputs * kElementBytes, "a test");
        // Rounded once more than the own kernels' where the output needs both values of a pair.
        const double tolerance = 2 * Tolerance(c);
        ExpectRight(test, test.Expected(), tolerance, "cublaslt", [&](const LinearCall& call) {
          layers.RunWith(LinearKernel::kMatmul, call, scratch.data(), stream_.get());
        });
      }
}

TEST_F(MatmulTest, ExpandsPackedWeightsForWhatTakesElements) {
  const LinearLayers layers(matmul_.get());
  for (const Element element : kElements)
    for (const WeightForm& form : kForms)
      for (const Out out : {Out::kFloats, Out::kSilu, Out::kRopeAppend}) {
        const Case c{element, 8 * LinearCase::kHeadDim, 640, 70, In::kElements, out, form};
        const LinearCase test(c);
        ASSERT_FALSE(layers.Can(LinearKernel::kRing, test.Call()));
        const DeviceBuffer y(size_t{70} * 8 * LinearCase::kHeadDim * kElementBytes, "a test");
        // Each weight is rounded to an element.
        const double tolerance = 2 * Tolerance({element, 1, 1, 1});
        for (const LinearKernel kernel : {LinearKernel::kPlain, LinearKernel::kMatmul})
          ExpectRight(test, test.Expected(), tolerance, NameOf(kernel), [&](const LinearCall& call) {
            layers.RunWith(kernel, call, {y.data(), expanded().data()}, stream_.get());
          });
      }
}

TEST_F(MatmulTest, GivesTheSameAfterTuning) {
  const Case c{Element::kBfloat16, 4096, 1024, 48, In::kElements, Out::kFloats};
  const LinearCase test(c);
  const LinearCall call = test.Call();
  matmul_->Tune(ProblemOf(call), {call.weights}, std::get<ElementsInput>(call.input).x,
                std::get<FloatsOutput>(call.output).y, stream_.get());
  const LinearLayers layers(matmul_.get());
  ExpectRight(test, test.Expected(), Tolerance(c), "tuned",
              [&](const LinearCall& tuned) { layers.RunWith(LinearKernel::kMatmul, tuned, nullptr, stream_.get()); });
}

TEST_F(MatmulTest, WhatOneLoadMeasuredTheNextTakes) {
  const embedded::TemporaryDirectory directory;
  const LinearCase test({Element::kFloat16, 1024, 1024, 4, In::kElements, Out::kSilu});
  const DeviceBuffer scratch(size_t{4} * 1024 * kElementBytes, "a test");
  LinearKernel measured = LinearKernel::kPlain;
  {
    Matmul matmul(OpenDevice(0), directory.path());
    LinearLayers layers(&matmul);
    EXPECT_FALSE(layers.TakeKnown(test.Call()));
    layers.Tune(test.Call(), {test.Call().weights}, scratch.data(), stream_.get());
    measured = layers.Choose(test.Call());
    matmul.choices().Save();
  }
  Matmul matmul(OpenDevice(0), directory.path());
  LinearLayers layers(&matmul);
  EXPECT_TRUE(layers.TakeKnown(test.Call()));
  EXPECT_EQ(layers.Choose(test.Call()), measured);
}

TEST_F(MatmulTest, TuningChoosesAKernelThatIsRight) {
  LinearLayers layers(matmul_.get());
  for (const int tokens : {1, 4, 16, 24}) {
    const Case c{Element::kFloat16, 1024, 1024, tokens, In::kElements, Out::kSilu};
    const LinearCase test(c);
    const DeviceBuffer scratch(static_cast<size_t>(tokens) * c.outputs * kElementBytes, "a test");
    layers.Tune(test.Call(), {test.Call().weights}, scratch.data(), stream_.get());
    EXPECT_NE(layers.Choose(test.Call()), LinearKernel::kPlain);
    ExpectRight(test, test.Expected(), 2 * Tolerance(c), NameOf(layers.Choose(test.Call())),
                [&](const LinearCall& call) { layers.Run(call, scratch.data(), stream_.get()); });
  }
}

}  // namespace
}  // namespace linear_test
