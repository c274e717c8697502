// Weights for load_format LOAD_FORMAT_DUMMY, made where they are used: sizing and benchmarks need no weight file.
//   w[i] = center + amplitude * u(i),  u uniform in [-1, 1), 24 bits:
//   u(i) = (word i % 4 of Philox(counter {low and high half of i / 4, tensor, 1}, key kDummySeed) >> 8) * 2^-23 - 1
// A function of the tensor and the place in it alone, so every device makes the same model at every load. This is the
// plain twin of what a device does (cuda/dummy_weights.h).
#ifndef EMBEDDED_DUMMY_WEIGHTS_H_
#define EMBEDDED_DUMMY_WEIGHTS_H_

#include <cstddef>
#include <cstdint>

namespace embedded {

constexpr uint64_t kDummySeed = 0;

struct DummyTensor {
  uint32_t tensor;  // its number among the tensors of the model, in the order of the checkpoint's layers
  float center;
  float amplitude;
};

// A norm's weights, around 1.
DummyTensor DummyNorm(uint32_t tensor);
// A bias, around 0.
DummyTensor DummyBias(uint32_t tensor);
// A matrix over `depth` inputs: what passes through it keeps its variance, so values stay small however many layers
// there are.
DummyTensor DummyMatrix(uint32_t tensor, int depth);

// out: w[first .. first + count).
void FillDummyWeights(const DummyTensor& tensor, size_t first, size_t count, float* out);

}  // namespace embedded

#endif  // EMBEDDED_DUMMY_WEIGHTS_H_
