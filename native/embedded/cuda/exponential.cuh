// exp(x) in fp32, bit for bit what the CPU executor's vector kernels give (embedded/cpu/vector_kernels.h): so equal
// logits have equal weights, and an equal draw is the same token.
#ifndef EMBEDDED_CUDA_EXPONENTIAL_CUH_
#define EMBEDDED_CUDA_EXPONENTIAL_CUH_

#include <cuda_runtime.h>

namespace embedded::cuda {

// e^x = 2^n * e^r with |r| <= ln(2) / 2, and for e^r the Taylor polynomial of degree 7. 0 below -87, NaN for NaN. For
// x <= 0: a weight is exp of a difference to the maximum. The intrinsics keep the compiler from fusing what the CPU
// rounds twice.
__device__ __forceinline__ float Exponential(float x) {
  const float n = rintf(__fmul_rn(x, 1.44269504f));
  float r = __fmaf_rn(-n, 0.693359375f, x);  // ln(2) in two parts; the first times n is exact
  r = __fmaf_rn(-n, -2.12194440e-4f, r);
  float e = 1.0f / 5040;
  e = __fmaf_rn(e, r, 1.0f / 720);
  e = __fmaf_rn(e, r, 1.0f / 120);
  e = __fmaf_rn(e, r, 1.0f / 24);
  e = __fmaf_rn(e, r, 1.0f / 6);
  e = __fmaf_rn(e, r, 0.5f);
  e = __fmaf_rn(e, r, 1.0f);
  e = __fmaf_rn(e, r, 1.0f);
  // 2^n as a float's exponent; n is from -126 to 0 wherever the result is kept.
  const float power = __int_as_float((static_cast<int>(fmaxf(n, -126.0f)) + 127) << 23);
  return x < -87.0f ? 0.0f : __fmul_rn(e, power);
}

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_EXPONENTIAL_CUH_
