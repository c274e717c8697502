// AVX2 and F16C. Compiled with those flags: include only what kernels.h allows.
#include <immintrin.h>

#include "native/embedded/cpu/scaled_layout.h"

namespace embedded::cpu {
namespace {

struct ScaledAvx2 {
  static __m128i Load8(const char* at) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)); }

  static void Int8(const char* bytes, const float* scales, float* out) {
    for (int c = 0; c < kPanelWidth; c += 8) {
      const __m256 values = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(Load8(bytes + c)));
      _mm256_storeu_ps(out + c, _mm256_mul_ps(values, _mm256_loadu_ps(scales + c)));
    }
  }
  static void Fp8(const char* bytes, const float* scales, float* out) {
    for (int c = 0; c < kPanelWidth; c += 8) {
      const __m128i bits = _mm_cvtepu8_epi16(Load8(bytes + c));
      const __m128i sign = _mm_slli_epi16(_mm_and_si128(bits, _mm_set1_epi16(0x80)), 8);
      const __m128i half = _mm_or_si128(sign, _mm_slli_epi16(_mm_and_si128(bits, _mm_set1_epi16(0x7F)), 7));
      _mm256_storeu_ps(out + c, _mm256_mul_ps(_mm256_cvtph_ps(half), _mm256_loadu_ps(scales + c)));
    }
  }
  static void Int4(const char* bytes, const float* scales, const float* zeros, float* out) {
    const __m128i both = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
    const __m128i nibble = _mm_set1_epi8(15);
    const __m128i halves[2] = {_mm_and_si128(both, nibble), _mm_and_si128(_mm_srli_epi16(both, 4), nibble)};
    for (int c = 0; c < kPanelWidth; c += 8) {
      const __m128i codes = c % 16 == 0 ? halves[c / 16] : _mm_srli_si128(halves[c / 16], 8);
      const __m256 values = _mm256_add_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(codes)), _mm256_loadu_ps(zeros + c));
      _mm256_storeu_ps(out + c, _mm256_mul_ps(values, _mm256_loadu_ps(scales + c)));
    }
  }
  static void Multiply(float* out, float factor) {
    for (int c = 0; c < kPanelWidth; c += 8)
      _mm256_storeu_ps(out + c, _mm256_mul_ps(_mm256_loadu_ps(out + c), _mm256_set1_ps(factor)));
  }
};

}  // namespace

const ScaledLayouts kAvx2ScaledLayouts = kScaledLayoutsOf<ScaledAvx2, &kAvx2Kernels>;

}  // namespace embedded::cpu
