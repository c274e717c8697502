// What activations, weights and the KV cache are made of on the GPU. Sums are in fp32 everywhere.
#ifndef EMBEDDED_CUDA_ELEMENT_H_
#define EMBEDDED_CUDA_ELEMENT_H_

#include <cstdint>

namespace embedded::cuda {

enum class Element : uint8_t { kBfloat16, kFloat16 };  // two bytes each

// The residual stream (hidden states between the layers) may be kept wider than what the matrices read.
enum class Residual : uint8_t { kElement, kFloat32 };

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_ELEMENT_H_
