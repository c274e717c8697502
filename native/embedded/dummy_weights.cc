#include "native/embedded/dummy_weights.h"

#include <array>
#include <cmath>

#include "native/embedded/random.h"

namespace embedded {

DummyTensor DummyNorm(uint32_t tensor) { return {tensor, 1, 0.1f}; }

DummyTensor DummyBias(uint32_t tensor) { return {tensor, 0, 0.1f}; }

DummyTensor DummyMatrix(uint32_t tensor, int depth) { return {tensor, 0, std::sqrt(3 / static_cast<float>(depth))}; }

void FillDummyWeights(const DummyTensor& tensor, size_t first, size_t count, float* out) {
  constexpr std::array<uint32_t, 2> kKey{static_cast<uint32_t>(kDummySeed), static_cast<uint32_t>(kDummySeed >> 32)};
  std::array<uint32_t, 4> bits{};
  for (size_t i = first; i < first + count; ++i) {
    const uint64_t group = i / 4;
    if (i == first || i % 4 == 0)
      bits = Philox({static_cast<uint32_t>(group), static_cast<uint32_t>(group >> 32), tensor.tensor, 1}, kKey);
    const float uniform = static_cast<float>(bits[i % 4] >> 8) * 0x1p-23f - 1.0f;
    *out++ = std::fma(tensor.amplitude, uniform, tensor.center);
  }
}

}  // namespace embedded
