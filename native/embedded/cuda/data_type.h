// What weights and activations are made of on the GPU. Sums are fp32 throughout.
#ifndef EMBEDDED_CUDA_DATA_TYPE_H_
#define EMBEDDED_CUDA_DATA_TYPE_H_

#include <cstddef>

namespace embedded::cuda {

enum class DataType { kFloat16, kBfloat16 };

constexpr size_t kElementBytes = 2;  // of both

inline const char* NameOf(DataType type) { return type == DataType::kFloat16 ? "float16" : "bfloat16"; }

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_DATA_TYPE_H_
