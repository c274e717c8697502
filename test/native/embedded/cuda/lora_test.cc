// LoRA's two products against sums in double precision.
#include "native/embedded/cuda/lora.h"

#include <gtest/gtest.h>

#include <vector>

#include "gpu_test.h"

namespace embedded::cuda {
namespace {

struct Case {
  Element element;
  int tokens;
  int inputs;   // the rest of a row up to its stride, a multiple of 8, is 0 in the adapters
  bool floats;  // y
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << NameOf(c.element) << " tokens " << c.tokens << " inputs " << c.inputs << (c.floats ? " floats" : "");
}

class Lora : public GpuTestWith<Case> {};

// Of an adapter with three modules of one layer, which is its second: on the host as elements hold them, and on the GPU.
struct TestAdapter {
  static constexpr int kLayerPairs = 7;
  std::vector<int> ranks;
  std::vector<std::vector<float>> a, b;
  std::vector<std::unique_ptr<DeviceArray<uint16_t>>> memory;
  std::unique_ptr<DeviceArray<LoraPair>> pairs;

  TestAdapter(Element element, std::vector<int> ranks_of_modules, int inputs, int stride, const int* outputs,
              uint32_t seed)
      : ranks(std::move(ranks_of_modules)) {
    std::vector<LoraPair> table(2 * kLayerPairs, LoraPair{});
    for (size_t m = 0; m < ranks.size(); ++m) {
      const size_t rank = static_cast<size_t>(ranks[m]);
      std::vector<uint16_t> a_bits = RandomElements(element, rank * static_cast<size_t>(stride), seed + m, 0.1f);
      for (size_t i = 0; i < a_bits.size(); ++i)
        if (static_cast<int>(i % static_cast<size_t>(stride)) >= inputs) a_bits[i] = 0;
      const std::vector<uint16_t> b_bits =
          RandomElements(element, static_cast<size_t>(outputs[m]) * rank, seed + 10 + m);
      a.push_back(FromBits(element, a_bits));
      b.push_back(FromBits(element, b_bits));
      memory.push_back(std::make_unique<DeviceArray<uint16_t>>(a_bits));
      memory.push_back(std::make_unique<DeviceArray<uint16_t>>(b_bits));
      table[kLayerPairs + m] = {memory[2 * m]->get(), memory[2 * m + 1]->get(), ranks[m]};
    }
    pairs = std::make_unique<DeviceArray<LoraPair>>(table);
  }
};

TEST_P(Lora, EachRowGetsItsAdaptersPart) {
  const Case& c = GetParam();
  constexpr int kMaxRank = 40, kYStride = 120;
  const int outputs[] = {40, 24, 30}, first_output[] = {0, 48, 80};
  const int stride = (c.inputs + 7) / 8 * 8;
  const TestAdapter one(c.element, {16, 3, 0}, c.inputs, stride, outputs, 1);
  const TestAdapter two(c.element, {1, 40, 8}, c.inputs, stride, outputs, 2);
  const TestAdapter* const adapters[] = {&one, &two};
  const DeviceArray<const LoraPair*> table(
      std::vector<const LoraPair*>{nullptr, one.pairs->get(), nullptr, two.pairs->get()});
  std::vector<int32_t> slots(static_cast<size_t>(c.tokens));
  for (size_t t = 0; t < slots.size(); ++t) slots[t] = t / 5 % 3 == 2 ? -1 : t % 11 < 8 ? 1 : 3;
  const DeviceArray<int32_t> device_slots(slots);
  const size_t x_count = static_cast<size_t>(c.tokens) * static_cast<size_t>(stride);
  const std::vector<uint16_t> x_bits = RandomElements(c.element, x_count, 3);
  const std::vector<float> x = FromBits(c.element, x_bits);
  const DeviceArray<uint16_t> device_x(x_bits);
  const size_t y_count = static_cast<size_t>(c.tokens) * kYStride;
  const std::vector<uint16_t> y_bits = RandomElements(c.element, y_count, 4);
  const std::vector<float> before = FromBits(c.element, y_bits);
  const DeviceArray<uint16_t> elements(y_bits);
  const DeviceArray<float> floats(before);
  const DeviceArray<float> shrunk(static_cast<size_t>(c.tokens) * 3 * kMaxRank);

  std::vector<double> expected(before.begin(), before.end());
  for (size_t t = 0; t < slots.size(); ++t) {
    if (slots[t] < 0) continue;
    const TestAdapter& adapter = *adapters[slots[t] == 1 ? 0 : 1];
    for (size_t m = 0; m < 3; ++m)
      for (int r = 0; r < adapter.ranks[m]; ++r) {
        double sum = 0;
        for (int k = 0; k < stride; ++k)
          sum += double{x[t * stride + k]} * adapter.a[m][static_cast<size_t>(r) * stride + k];
        for (int n = 0; n < outputs[m]; ++n)
          expected[t * kYStride + first_output[m] + n] +=
              sum * adapter.b[m][static_cast<size_t>(n) * adapter.ranks[m] + r];
      }
  }

  LoraCall call{c.element,
                c.tokens,
                {table.get(), device_slots.get()},
                TestAdapter::kLayerPairs,
                3,
                kMaxRank,
                device_x.get(),
                stride,
                shrunk.get(),
                {},
                {},
                kYStride,
                c.floats ? static_cast<void*>(floats.get()) : elements.get(),
                c.floats ? LoraCall::Y::kFloats : LoraCall::Y::kElements};
  std::copy_n(outputs, 3, call.outputs);
  std::copy_n(first_output, 3, call.first_output);
  AddLora(call, nullptr);
  const std::vector<float> got = c.floats ? floats.Read() : FromBits(c.element, elements.Read());
  EXPECT_LT(RelativeError(got, expected), c.floats ? 1e-5 : Rounding(c.element));
  for (size_t t = 0; t < slots.size(); ++t)
    for (size_t n = 0; slots[t] < 0 && n < kYStride; ++n)
      ASSERT_EQ(got[t * kYStride + n], before[t * kYStride + n]) << "a row without an adapter";
}

INSTANTIATE_TEST_SUITE_P(All, Lora,
                         testing::Values(Case{Element::kBfloat16, 1, 64, false}, Case{Element::kFloat16, 7, 300, false},
                                         Case{Element::kBfloat16, 64, 1024, true},
                                         Case{Element::kFloat16, 65, 70, true},
                                         Case{Element::kBfloat16, 203, 256, false}));

}  // namespace
}  // namespace embedded::cuda
