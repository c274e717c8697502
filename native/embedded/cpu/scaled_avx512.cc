// AVX-512 F, BW, VL and DQ. Compiled with those flags: include only what kernels.h allows.
#include <immintrin.h>

#include "native/embedded/cpu/scaled_layout.h"

namespace embedded::cpu {
namespace {

struct ScaledAvx512 {
  using Float = __m512;
  static constexpr int kLanes = 16;
  static constexpr int kVectors = 2;
  static constexpr int kRows = 4;

  static Float Load(const float* at) { return _mm512_loadu_ps(at); }
  static void Store(float* at, Float x) { _mm512_storeu_ps(at, x); }
  static Float Set(float x) { return _mm512_set1_ps(x); }
  static Float Zero() { return _mm512_setzero_ps(); }
  static Float Add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float Mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float MulAdd(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }

  static __m128i Load16(const char* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }

  static void Int8(const char* bytes, Float (&out)[kVectors]) {
    out[0] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(Load16(bytes)));
    out[1] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(Load16(bytes + kLanes)));
  }
  static void Fp8(const char* bytes, Float (&out)[kVectors]) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const __m256i bits = _mm256_cvtepu8_epi16(Load16(bytes + v * kLanes));
      const __m256i sign = _mm256_slli_epi16(_mm256_and_si256(bits, _mm256_set1_epi16(0x80)), 8);
      const __m256i size = _mm256_slli_epi16(_mm256_and_si256(bits, _mm256_set1_epi16(0x7F)), 7);
      out[v] = _mm512_cvtph_ps(_mm256_or_si256(sign, size));
    }
  }
  static void Int4(const char* bytes, Float (&out)[kVectors]) {
    const __m128i both = Load16(bytes);
    const __m128i high = _mm_srli_epi16(both, 4);
    out[0] = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_and_si128(both, _mm_set1_epi8(15))));
    out[1] = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_and_si128(high, _mm_set1_epi8(15))));
  }
};

}  // namespace

const ScaledLayouts kAvx512ScaledLayouts = kScaledLayoutsOf<ScaledAvx512, &kAvx512Kernels>;

}  // namespace embedded::cpu
