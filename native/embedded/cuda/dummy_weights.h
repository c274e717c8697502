// The weights of embedded/dummy_weights.h, which has the formula and the plain twin, made on the device.
#ifndef EMBEDDED_CUDA_DUMMY_WEIGHTS_H_
#define EMBEDDED_CUDA_DUMMY_WEIGHTS_H_

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "native/embedded/cuda/element.h"
#include "native/embedded/dummy_weights.h"

namespace embedded::cuda {

// out: [count] element, aligned to 8 bytes: the first `count` weights of the tensor, rounded once.
void FillDummyWeights(const DummyTensor& tensor, Element element, size_t count, void* out, cudaStream_t stream);

// out: [count] bytes, aligned to 16: what chance gives tensor `number`, those bits cleared that `mask` has not.
constexpr uint8_t kAnyCode = 0xff;
constexpr uint8_t kSmallFp8 = 0xbf;  // E4M3 below 2, and no NaN
void FillDummyCodes(uint32_t number, size_t count, uint8_t mask, void* out, cudaStream_t stream);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_DUMMY_WEIGHTS_H_
