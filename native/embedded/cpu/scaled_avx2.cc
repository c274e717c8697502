// AVX2, FMA and F16C. Compiled with those flags: include only what kernels.h allows.
#include <immintrin.h>

#include "native/embedded/cpu/scaled_layout.h"

namespace embedded::cpu {
namespace {

struct ScaledAvx2 {
  using Float = __m256;
  static constexpr int kLanes = 8;
  static constexpr int kVectors = 4;
  static constexpr int kRows = 1;  // more would not leave its 16 registers room for scales

  static Float Load(const float* at) { return _mm256_loadu_ps(at); }
  static void Store(float* at, Float x) { _mm256_storeu_ps(at, x); }
  static Float Set(float x) { return _mm256_set1_ps(x); }
  static Float Zero() { return _mm256_setzero_ps(); }
  static Float Add(Float a, Float b) { return _mm256_add_ps(a, b); }
  static Float Mul(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float MulAdd(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }

  static __m128i Load8(const char* at) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)); }

  static void Int8(const char* bytes, Float (&out)[kVectors]) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) out[v] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(Load8(bytes + v * kLanes)));
  }
  static void Fp8(const char* bytes, Float (&out)[kVectors]) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const __m128i bits = _mm_cvtepu8_epi16(Load8(bytes + v * kLanes));
      const __m128i sign = _mm_slli_epi16(_mm_and_si128(bits, _mm_set1_epi16(0x80)), 8);
      out[v] = _mm256_cvtph_ps(_mm_or_si128(sign, _mm_slli_epi16(_mm_and_si128(bits, _mm_set1_epi16(0x7F)), 7)));
    }
  }
  static void Int4(const char* bytes, Float (&out)[kVectors]) {
    const __m128i both = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
    const __m128i low = _mm_and_si128(both, _mm_set1_epi8(15));
    const __m128i high = _mm_and_si128(_mm_srli_epi16(both, 4), _mm_set1_epi8(15));
    out[0] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(low));
    out[1] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(low, 8)));
    out[2] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(high));
    out[3] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(high, 8)));
  }
};

}  // namespace

const ScaledLayouts kAvx2ScaledLayouts = kScaledLayoutsOf<ScaledAvx2, &kAvx2Kernels>;

}  // namespace embedded::cpu
