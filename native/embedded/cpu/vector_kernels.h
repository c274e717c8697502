// The kernels that walk along vectors, written once over a vector type V of each instruction set. V is local to its
// file, so each file gets functions of its own. Rules of inclusion: kernels.h.
//
// V has: Float, kLanes, Set, Load(at, count, otherwise) and Store(at, count, x) of the first `count` lanes (all of them
// if there are fewer), Add, Sub, Mul, Div, Sqrt, Max (b if a or b is NaN), Min (likewise), MulAdd (a * b + c),
// NegMulAdd (-a * b + c), Round (to nearest), TimesPowerOfTwo(x, n), KeepWhere(x, y, least): x, or 0 where y < least,
// SumLanes, MaxLane, First, and StoreFloat16 and StoreInt8, which are Store to the nearest float16 or whole number.
#ifndef EMBEDDED_CPU_VECTOR_KERNELS_H_
#define EMBEDDED_CPU_VECTOR_KERNELS_H_

#include "native/embedded/cpu/kernels.h"

namespace embedded::cpu {

template <typename V>
struct VectorKernels {
  using Float = typename V::Float;
  static constexpr int kLanes = V::kLanes;
  static Float Zero() { return V::Set(0.0f); }
  static Float Lowest() { return V::Set(-__builtin_inff()); }

  // e^x = 2^n * e^r with |r| <= ln(2) / 2, and for e^r the Taylor polynomial of degree 7; off by 2 ulp at most. 0 below
  // -87, where the result would be subnormal; the largest finite power above 88.7.
  static Float Exp(Float given) {
    const Float x = V::Min(V::Set(88.7f), given);
    const Float n = V::Round(V::Mul(x, V::Set(1.44269504f)));
    Float r = V::NegMulAdd(n, V::Set(0.693359375f), x);  // ln(2) in two parts; the first times n is exact
    r = V::NegMulAdd(n, V::Set(-2.12194440e-4f), r);
    constexpr float kCoefficients[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
    Float e = V::Set(1.0f / 5040);
    for (const float coefficient : kCoefficients) e = V::MulAdd(e, r, V::Set(coefficient));
    return V::KeepWhere(V::TimesPowerOfTwo(e, n), given, -87.0f);
  }

  static void RmsNorm(const float* x, const float* weight, float epsilon, int size, float* out) {
    Float squares = Zero();
    for (int i = 0; i < size; i += kLanes) {
      const Float value = V::Load(x + i, size - i, Zero());
      squares = V::MulAdd(value, value, squares);
    }
    const float mean = V::SumLanes(squares) / static_cast<float>(size);
    const Float factor = V::Div(V::Set(1.0f), V::Sqrt(V::Set(mean + epsilon)));
    for (int i = 0; i < size; i += kLanes) {
      const Float value = V::Mul(V::Load(x + i, size - i, Zero()), factor);
      V::Store(out + i, size - i, V::Mul(value, V::Load(weight + i, size - i, Zero())));
    }
  }

  static void SiluMultiply(const float* a, const float* b, int size, float* out) {
    for (int i = 0; i < size; i += kLanes) {
      const Float value = V::Load(a + i, size - i, Zero());
      const Float silu = V::Div(value, V::Add(V::Set(1.0f), Exp(V::Sub(Zero(), value))));
      V::Store(out + i, size - i, V::Mul(silu, V::Load(b + i, size - i, Zero())));
    }
  }

  static float SoftmaxBlock(float* scores, int valid, SoftmaxState* state) {
    Float block_max = Lowest();
    for (int i = 0; i < valid; i += kLanes) block_max = V::Max(V::Load(scores + i, valid - i, Lowest()), block_max);
    const float largest = V::MaxLane(block_max);
    const float max = largest > state->max ? largest : state->max;
    Float sums = Zero();
    for (int i = 0; i < kPanelWidth; i += kLanes) {  // what is not valid is -infinity, and so 0
      const Float weight = Exp(V::Sub(V::Load(scores + i, valid - i, Lowest()), V::Set(max)));
      V::Store(scores + i, kLanes, weight);
      sums = V::Add(sums, weight);
    }
    const float factor = max == state->max ? 1.0f : V::First(Exp(V::Set(state->max - max)));
    state->sum = state->sum * factor + V::SumLanes(sums);
    state->max = max;
    return factor;
  }

  static void Scale(float* x, float factor, int size) {
    for (int i = 0; i < size; i += kLanes)
      V::Store(x + i, size - i, V::Mul(V::Load(x + i, size - i, Zero()), V::Set(factor)));
  }

  static float Max(const float* x, int size) {
    Float max = Lowest();
    for (int i = 0; i < size; i += kLanes) max = V::Max(V::Load(x + i, size - i, Lowest()), max);
    return V::MaxLane(max);
  }

  static void ExpShifted(const float* x, float max, float factor, int size, float* out) {
    for (int i = 0; i < size; i += kLanes) {
      const Float shifted = V::Sub(V::Load(x + i, size - i, Zero()), V::Set(max));
      V::Store(out + i, size - i, Exp(V::Mul(shifted, V::Set(factor))));
    }
  }

  static void ToFloat16(const float* x, int size, uint16_t* out) {
    const Float most = V::Set(65504), least = V::Set(-65504);
    for (int i = 0; i < size; i += kLanes)
      V::StoreFloat16(out + i, size - i, V::Max(least, V::Min(most, V::Load(x + i, size - i, Zero()))));
  }

  static float MaxMagnitude(const float* x, int size) {
    Float max = Zero(), nothing = Zero();  // stays 0 but for what is infinite or no number
    for (int i = 0; i < size; i += kLanes) {
      const Float value = V::Load(x + i, size - i, Zero());
      max = V::Max(V::Max(value, V::Sub(Zero(), value)), max);
      nothing = V::MulAdd(value, Zero(), nothing);
    }
    return V::MaxLane(max) + V::SumLanes(nothing);
  }

  static void ToInt8(const float* x, float factor, int size, int8_t* out) {
    for (int i = 0; i < size; i += kLanes)
      V::StoreInt8(out + i, size - i, V::Mul(V::Load(x + i, size - i, Zero()), V::Set(factor)));
  }
};

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_VECTOR_KERNELS_H_
