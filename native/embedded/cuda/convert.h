// Weights of a file as the elements that a GPU computes with, on the host.
#ifndef EMBEDDED_CUDA_CONVERT_H_
#define EMBEDDED_CUDA_CONVERT_H_

#include <cstddef>

#include "native/embedded/checkpoint/data_type.h"
#include "native/embedded/cuda/element.h"

namespace embedded::cuda {

constexpr size_t BytesOf(WeightType type) { return type == WeightType::kFloat32 ? 4 : 2; }

// The element that holds the same bits.
constexpr bool IsSame(WeightType type, Element element) {
  return type == (element == Element::kBfloat16 ? WeightType::kBfloat16 : WeightType::kFloat16);
}

// out[i] = in[i], rounded to nearest. False, and the rest not written, where a finite number is too large for `to`.
bool ConvertElements(WeightType from, const void* in, Element to, size_t count, void* out);

// out[i] = in[i].
void ConvertToFloats(WeightType from, const void* in, size_t count, float* out);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_CONVERT_H_
