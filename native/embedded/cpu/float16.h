// The two 16-bit float types, one number at a time.
#ifndef EMBEDDED_CPU_FLOAT16_H_
#define EMBEDDED_CPU_FLOAT16_H_

#include <stdint.h>
#include <string.h>

namespace embedded::cpu {

inline float BitsToFloat(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

inline float Bfloat16ToFloat(uint16_t bits) { return BitsToFloat(static_cast<uint32_t>(bits) << 16); }

inline float Float16ToFloat(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t magnitude = bits & 0x7FFF;
  if (magnitude >= 0x7C00) return BitsToFloat(sign | 0x7F800000 | (magnitude << 13));  // infinity and NaN
  if (magnitude >= 0x0400) return BitsToFloat(sign | ((magnitude << 13) + (112u << 23)));
  const float subnormal = static_cast<float>(magnitude) * 0x1p-24f;
  return sign != 0 ? -subnormal : subnormal;
}

inline uint32_t FloatToBits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

// To the nearest, ties to even; of finite numbers that the type holds.
inline uint16_t FloatToBfloat16(float value) {
  const uint32_t bits = FloatToBits(value);
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

inline uint16_t FloatToFloat16(float value) {
  const uint32_t bits = FloatToBits(value);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude < (113u << 23))  // subnormal: multiples of 2^-24, which is what floats from 0.5 to 1 are spaced by
    return static_cast<uint16_t>(sign | (FloatToBits(BitsToFloat(magnitude) + 0.5f) - FloatToBits(0.5f)));
  const uint32_t rounded = magnitude + 0xFFF + (magnitude >> 13 & 1);
  return static_cast<uint16_t>(sign | (rounded - (112u << 23)) >> 13);
}

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_FLOAT16_H_
