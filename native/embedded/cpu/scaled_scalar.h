// The plain twin of the functions that expand scaled weights: the meaning, for reading and for tests.
#ifndef EMBEDDED_CPU_SCALED_SCALAR_H_
#define EMBEDDED_CPU_SCALED_SCALAR_H_

#include "native/embedded/cpu/float16.h"
#include "native/embedded/cpu/kernels.h"

namespace embedded::cpu {

struct ScaledScalar {
  static void Int8(const char* bytes, const float* scales, float* out) {
    for (int c = 0; c < kPanelWidth; ++c) out[c] = static_cast<float>(static_cast<int8_t>(bytes[c])) * scales[c];
  }
  // The bits of E4M3 are those of a float16 but for the bias, 7 instead of 15: that float16 is 2^-8 of the value. (NaN, of
  // which there is none in a matrix, would be 480.)
  static void Fp8(const char* bytes, const float* scales, float* out) {
    for (int c = 0; c < kPanelWidth; ++c) {
      const auto bits = static_cast<uint8_t>(bytes[c]);
      out[c] = Float16ToFloat(static_cast<uint16_t>((bits & 0x80) << 8 | (bits & 0x7F) << 7)) * scales[c];
    }
  }
  static void Int4(const char* bytes, const float* scales, const float* zeros, float* out) {
    for (int c = 0; c < kPanelWidth; ++c) {
      const auto byte = static_cast<uint8_t>(bytes[c % 16]);
      out[c] = (static_cast<float>(c < 16 ? byte & 15 : byte >> 4) + zeros[c]) * scales[c];
    }
  }
  static void Multiply(float* out, float factor) {
    for (int c = 0; c < kPanelWidth; ++c) out[c] *= factor;
  }
};

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_SCALED_SCALAR_H_
