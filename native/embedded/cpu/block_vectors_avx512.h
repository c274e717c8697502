// What block_kernels.h asks of AVX-512, but for the products: the two files that include this have their own.
#ifndef EMBEDDED_CPU_BLOCK_VECTORS_AVX512_H_
#define EMBEDDED_CPU_BLOCK_VECTORS_AVX512_H_

#include <immintrin.h>

#include "native/embedded/cpu/kernels.h"

namespace embedded::cpu {
namespace {

struct Avx512Blocks {
  using Float = __m512;
  using Ints = __m512i;
  using Bytes = __m512i;
  static constexpr int kLanes = 16;
  static constexpr int kTileRows = 6;

  static Float Zero() { return _mm512_setzero_ps(); }
  static Float Set(float x) { return _mm512_set1_ps(x); }
  static Float Mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float Add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float MulAdd(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float NegMulAdd(Float a, Float b, Float c) { return _mm512_fnmadd_ps(a, b, c); }
  static Float Load(const float* at) { return _mm512_loadu_ps(at); }
  static void Store(float* at, Float x) { _mm512_storeu_ps(at, x); }
  static Float FromHalf(const uint16_t* at) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
  }

  static Ints ZeroInts() { return _mm512_setzero_si512(); }
  static Ints Broadcast(const int32_t* at) { return _mm512_set1_epi32(*at); }
  template <int n>
  static Ints Shift(Ints x) {
    if constexpr (n < 0)
      return _mm512_srli_epi32(x, -n);
    else
      return _mm512_slli_epi32(x, n);
  }
  static Ints ShiftInts(Ints x, int n) { return _mm512_srl_epi32(x, _mm_cvtsi32_si128(n)); }
  static Ints AndInts(Ints x, int mask) { return _mm512_and_si512(x, _mm512_set1_epi32(mask)); }
  static Ints OrInts(Ints a, Ints b) { return _mm512_or_si512(a, b); }
  static Float ToFloat(Ints x) { return _mm512_cvtepi32_ps(x); }
  static Ints FromBytes(const uint8_t* at) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
  }
  static Ints FromSignedBytes(const int8_t* at) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
  }

  static Bytes LoadBytes(const uint8_t* at) { return _mm512_loadu_si512(at); }
  static Bytes AndBytes(Bytes x, uint8_t mask) {
    return _mm512_and_si512(x, _mm512_set1_epi8(static_cast<char>(mask)));
  }
  static Bytes OrBytes(Bytes a, Bytes b) { return _mm512_or_si512(a, b); }
  template <int n>
  static Bytes ShiftBytes(Bytes x) {
    if constexpr (n < 0) return _mm512_srli_epi16(x, -n);
    if constexpr (n > 0) return _mm512_slli_epi16(x, n);
    return x;
  }
  static Bytes OrWhere(Bytes x, const uint8_t* bits, uint8_t value) {
    uint64_t mask;
    __builtin_memcpy(&mask, bits, sizeof(mask));
    return _mm512_mask_add_epi8(x, mask, x, _mm512_set1_epi8(static_cast<char>(value)));  // these bits are 0 in x
  }

  static Ints LoadInput(const int8_t* at) {
    int four;
    __builtin_memcpy(&four, at, sizeof(four));
    return _mm512_set1_epi32(four);
  }

  static uint32_t MaxMagnitude(const float* at) {
    return _mm512_reduce_max_epu32(_mm512_and_si512(_mm512_loadu_si512(at), _mm512_set1_epi32(0x7FFFFFFF)));
  }
  static int Quantize(const float* at, float factor, int8_t* out) {
    const __m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(at), _mm512_set1_ps(factor)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtepi32_epi8(whole));
    return _mm512_reduce_add_epi32(whole);
  }
};

}  // namespace
}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_BLOCK_VECTORS_AVX512_H_
