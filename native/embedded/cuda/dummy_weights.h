// Random weights made on the device, for `loadFormat: 'dummy'`: sizing and benchmarks need no weight file.
//   out[i] = center + amplitude * u(i),  u uniform in [-1, 1), 24 bits:
//   u(i) = (word i % 4 of Philox(counter {low and high half of i / 4, tensor, 1}, key seed) >> 8) * 2^-23 - 1
// A function of (seed, tensor, i) alone, so the CPU can make the same numbers (embedded/random.h).
#ifndef EMBEDDED_CUDA_DUMMY_WEIGHTS_H_
#define EMBEDDED_CUDA_DUMMY_WEIGHTS_H_

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "native/embedded/cuda/element.h"

namespace embedded::cuda {

struct DummyWeights {
  Element element;
  size_t count;  // elements
  uint64_t seed;
  uint32_t tensor;  // a number of its own for each tensor of the model
  float center;     // 1 for the weights of a norm, else 0
  float amplitude;  // sqrt(3 / inputs) keeps the variance of what passes through a matrix
};

// out: [count] element, aligned to 8 bytes.
void FillDummyWeights(const DummyWeights& weights, void* out, cudaStream_t stream);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_DUMMY_WEIGHTS_H_
