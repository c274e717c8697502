// AVX-512 F, BW, VL and DQ. Compiled with those flags: include only what kernels.h allows.
#include <immintrin.h>

#include "native/embedded/cpu/scaled_layout.h"

namespace embedded::cpu {
namespace {

struct ScaledAvx512 {
  static __m128i Load16(const char* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }

  static void Int8(const char* bytes, const float* scales, float* out) {
    for (int c = 0; c < kPanelWidth; c += 16) {
      const __m512 values = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(Load16(bytes + c)));
      _mm512_storeu_ps(out + c, _mm512_mul_ps(values, _mm512_loadu_ps(scales + c)));
    }
  }
  static void Fp8(const char* bytes, const float* scales, float* out) {
    for (int c = 0; c < kPanelWidth; c += 16) {
      const __m256i bits = _mm256_cvtepu8_epi16(Load16(bytes + c));
      const __m256i sign = _mm256_slli_epi16(_mm256_and_si256(bits, _mm256_set1_epi16(0x80)), 8);
      const __m256i half = _mm256_or_si256(sign, _mm256_slli_epi16(_mm256_and_si256(bits, _mm256_set1_epi16(0x7F)), 7));
      _mm512_storeu_ps(out + c, _mm512_mul_ps(_mm512_cvtph_ps(half), _mm512_loadu_ps(scales + c)));
    }
  }
  static void Int4(const char* bytes, const float* scales, const float* zeros, float* out) {
    const __m128i both = Load16(bytes);
    const __m128i nibble = _mm_set1_epi8(15);
    Int4Half(_mm_and_si128(both, nibble), scales, zeros, out);
    Int4Half(_mm_and_si128(_mm_srli_epi16(both, 4), nibble), scales + 16, zeros + 16, out + 16);
  }
  static void Int4Half(__m128i codes, const float* scales, const float* zeros, float* out) {
    const __m512 values = _mm512_add_ps(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(codes)), _mm512_loadu_ps(zeros));
    _mm512_storeu_ps(out, _mm512_mul_ps(values, _mm512_loadu_ps(scales)));
  }
  static void Multiply(float* out, float factor) {
    for (int c = 0; c < kPanelWidth; c += 16)
      _mm512_storeu_ps(out + c, _mm512_mul_ps(_mm512_loadu_ps(out + c), _mm512_set1_ps(factor)));
  }
};

}  // namespace

const ScaledLayouts kAvx512ScaledLayouts = kScaledLayoutsOf<ScaledAvx512, &kAvx512Kernels>;

}  // namespace embedded::cpu
