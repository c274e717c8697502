// Codes of packed weights as operands of mma.m16n8k16, without a conversion for each.
//
// An integer below 256 in the low bits of a bfloat16 is that integer times 2^-133, one below 2048 in those of a float16 times 2^-24:
// subnormal numbers and the first normal ones lie equally far apart. Tensor cores keep subnormal numbers. With bfloat16 x is staged
// times 2^64, or products would leave the range of fp32. 4 bits fit behind the point of a bfloat16: there 128 is added instead.
// E4M3 has its exponent next to its sign, as both have: shifted into place it is the number times 2^-120, or 2^-8 in float16.
// What an integer has too much (8 or 128 that make it unsigned, and the 128 above) is subtracted in pairs, which is exact.
#ifndef EMBEDDED_CUDA_PACKED_CODES_CUH_
#define EMBEDDED_CUDA_PACKED_CODES_CUH_

#include <type_traits>

#include "native/embedded/cuda/device.cuh"
#include "native/embedded/cuda/packed.h"

namespace embedded::cuda {

// The operand's rows g and g + 8, 8 neighbours of 32 columns each: registers 0 and 1 are for the first product, 2 and 3 for the second.
struct RowPair {
  uint32_t first[4];
  uint32_t second[4];
};

template <typename T, Codes kCodes>
struct CodeOperand {
  static constexpr bool kIsBfloat16 = std::is_same_v<T, __nv_bfloat16>;
  static constexpr bool kIsInteger = kCodes != Codes::kFp8;
  static constexpr bool kScalesX = kIsBfloat16 && kCodes != Codes::kInt4;
  static constexpr bool kAdds128 = kIsBfloat16 && kCodes == Codes::kInt4;
  // Pairs of what is subtracted: as integers 136, 8 or 128.
  static constexpr uint32_t kTooMuch = kAdds128 ? 0x43084308u : kCodes == Codes::kInt4 ? 0x00080008u : 0x00800080u;
  // Pairs of the number that an integer of 1 is here.
  static constexpr uint32_t kOnes = kAdds128 ? 0x3f803f80u : 0x00010001u;
  // A sum of products times this is the sum of codes and x.
  static constexpr float kScale = kIsBfloat16 ? (kCodes == Codes::kInt8  ? 0x1p69f
                                                 : kCodes == Codes::kFp8 ? 0x1p56f
                                                                         : 1.0f)
                                              : (kCodes == Codes::kFp8 ? 0x1p8f : 0x1p24f);

  __device__ static uint32_t Signed(uint32_t pair) {
#if __CUDA_ARCH__ >= 800
    using Pair = std::conditional_t<kIsBfloat16, __nv_bfloat162, __half2>;
    const uint32_t too_much = kTooMuch;
    const Pair difference = __hsub2(*reinterpret_cast<const Pair*>(&pair), *reinterpret_cast<const Pair*>(&too_much));
    return *reinterpret_cast<const uint32_t*>(&difference);
#else
    return pair;
#endif
  }
  // 8 codes of 4 bits: of pair p the first has the bits from 4 * p, the second those from 16 + 4 * p.
  __device__ static void Expand4(uint32_t word, uint32_t (&out)[4]) {
#pragma unroll
    for (int p = 0; p < 4; ++p) {
      out[p] = (word >> (4 * p)) & 0x000f000fu;
      if constexpr (kAdds128) out[p] |= 0x43004300u;
      out[p] = Signed(out[p]);
    }
  }
  // 4 codes of 8 bits: integers in order; of FP8 bytes 1, 3, 0, 2.
  __device__ static void Expand8(uint32_t word, uint32_t* out) {
    if constexpr (kIsInteger) {
      out[0] = Signed(__byte_perm(word, 0, 0x4140));
      out[1] = Signed(__byte_perm(word, 0, 0x4342));
    } else {
      constexpr int kShift = kIsBfloat16 ? 4 : 1;
      constexpr uint32_t kMask = kIsBfloat16 ? 0x07f007f0u : 0x3f803f80u;
      const uint32_t low = word << 8;
      out[0] = (word & 0x80008000u) | ((word >> kShift) & kMask);
      out[1] = (low & 0x80008000u) | ((low >> kShift) & kMask);
    }
  }

  static constexpr int kLoads = kCodes == Codes::kInt4 ? 2 : 4;  // of 16 bytes, for a step

  // Of what a lane has of a record the codes of columns 32 * part to 32 * part + 31.
  __device__ static RowPair Expand(const uint4 (&words)[kLoads], int part) {
    RowPair rows;
    if constexpr (kCodes == Codes::kInt4) {
      Expand4(part % 2 == 0 ? words[part / 2].x : words[part / 2].z, rows.first);
      Expand4(part % 2 == 0 ? words[part / 2].y : words[part / 2].w, rows.second);
    } else {
      Expand8(words[part].x, rows.first);
      Expand8(words[part].y, rows.first + 2);
      Expand8(words[part].z, rows.second);
      Expand8(words[part].w, rows.second + 2);
    }
    return rows;
  }
};

// A pair of x as the products take it.
template <typename T, Codes kCodes>
__device__ uint32_t StagedPair(uint32_t pair) {
  if constexpr (CodeOperand<T, kCodes>::kScalesX) {
#if __CUDA_ARCH__ >= 800
    const __nv_bfloat162 product =
        __hmul2(*reinterpret_cast<const __nv_bfloat162*>(&pair), __float2bfloat162_rn(0x1p64f));
    return *reinterpret_cast<const uint32_t*>(&product);
#endif
  }
  return pair;
}

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_PACKED_CODES_CUH_
