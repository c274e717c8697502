// Keys and values in 8 bits, where kv_format.h has them.
#ifndef EMBEDDED_CUDA_INT8_KV_CUH_
#define EMBEDDED_CUDA_INT8_KV_CUH_

#include <cstddef>
#include <cstdint>

namespace embedded::cuda {

constexpr float kInt8Most = 127;
constexpr int kInt8Zero = 128;  // the code of 0

// Where one token's codes in one head, and their scale, begin: in bytes from the start of a layer's keys (or values).
struct Int8Token {
  size_t codes;
  size_t scale;

  // `head` counts the heads of all blocks before it.
  __device__ __forceinline__ Int8Token(size_t head, int slot, int tokens_per_block, int head_dim) {
    const size_t begin = head * (static_cast<size_t>(tokens_per_block) * (head_dim + sizeof(float)));
    codes = begin + static_cast<size_t>(slot * head_dim);
    scale = begin + static_cast<size_t>(tokens_per_block * head_dim) + slot * sizeof(float);
  }
};

__device__ __forceinline__ float Int8Scale(const void* plane, const Int8Token& at) {
  return *reinterpret_cast<const float*>(static_cast<const uint8_t*>(plane) + at.scale);
}

// Without its scale.
__device__ __forceinline__ float FromCode(uint8_t code) {
  return static_cast<float>(static_cast<int>(code) - kInt8Zero);
}

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_INT8_KV_CUH_
