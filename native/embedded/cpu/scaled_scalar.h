// The plain twin of the functions that read scaled weights: the meaning, for reading and for tests.
#ifndef EMBEDDED_CPU_SCALED_SCALAR_H_
#define EMBEDDED_CPU_SCALED_SCALAR_H_

#include "native/embedded/cpu/float16.h"
#include "native/embedded/cpu/kernels.h"

namespace embedded::cpu {

struct ScaledScalar {
  using Float = float;
  static constexpr int kLanes = 1;
  static constexpr int kVectors = kPanelWidth;
  static constexpr int kRows = 0;

  static Float Load(const float* at) { return *at; }
  static void Store(float* at, Float x) { *at = x; }
  static Float Set(float x) { return x; }
  static Float Add(Float a, Float b) { return a + b; }
  static Float Mul(Float a, Float b) { return a * b; }

  static void Int8(const char* bytes, Float (&out)[kVectors]) {
    for (int c = 0; c < kPanelWidth; ++c) out[c] = static_cast<float>(static_cast<int8_t>(bytes[c]));
  }
  // NaN, of which there is none in a matrix, would be 480.
  static void Fp8(const char* bytes, Float (&out)[kVectors]) {
    for (int c = 0; c < kPanelWidth; ++c) {
      const auto bits = static_cast<uint8_t>(bytes[c]);
      out[c] = Float16ToFloat(static_cast<uint16_t>((bits & 0x80) << 8 | (bits & 0x7F) << 7));
    }
  }
  static void Int4(const char* bytes, Float (&out)[kVectors]) {
    for (int c = 0; c < kPanelWidth; ++c) {
      const auto byte = static_cast<uint8_t>(bytes[c % 16]);
      out[c] = static_cast<float>(c < 16 ? byte & 15 : byte >> 4);
    }
  }
};

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_SCALED_SCALAR_H_
