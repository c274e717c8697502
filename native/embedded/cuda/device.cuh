// What the kernels share: conversions, vectors of 16 bytes, sums over a block, and the order between two kernels.
#ifndef EMBEDDED_CUDA_DEVICE_CUH_
#define EMBEDDED_CUDA_DEVICE_CUH_

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "native/embedded/cuda/element.h"
#include "native/embedded/cuda/launch.h"

namespace embedded::cuda {

// Until the kernels before this one in the stream have ended and what they wrote is visible (launch.h). A read of it
// must not be `ld.global.nc` (__ldg, const __restrict__): ptxas moves such a load across the wait.
__device__ __forceinline__ void WaitForPredecessor() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

__device__ __forceinline__ float ToFloat(float x) { return x; }
__device__ __forceinline__ float ToFloat(__half x) { return __half2float(x); }
__device__ __forceinline__ float ToFloat(__nv_bfloat16 x) { return __bfloat162float(x); }

template <typename T>
__device__ __forceinline__ T FromFloat(float x);
template <>
__device__ __forceinline__ float FromFloat<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ __half FromFloat<__half>(float x) {
  return __float2half_rn(x);
}
template <>
__device__ __forceinline__ __nv_bfloat16 FromFloat<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}

// kCount values that are read and written as one or two accesses of up to 16 bytes; kCount is 1 or 8.
template <typename T, int kCount>
__device__ __forceinline__ void LoadFloats(const T* from, float (&out)[kCount]) {
  if constexpr (kCount == 1) {
    out[0] = ToFloat(from[0]);
  } else {
    static_assert(kCount == 8);
    constexpr int kWords = sizeof(T) * kCount / sizeof(uint4);
    uint4 words[kWords];
#pragma unroll
    for (int i = 0; i < kWords; ++i) words[i] = reinterpret_cast<const uint4*>(from)[i];
    const T* values = reinterpret_cast<const T*>(words);
#pragma unroll
    for (int i = 0; i < kCount; ++i) out[i] = ToFloat(values[i]);
  }
}
template <typename T, int kCount>
__device__ __forceinline__ void StoreFloats(T* to, const float (&values)[kCount]) {
  if constexpr (kCount == 1) {
    to[0] = FromFloat<T>(values[0]);
  } else {
    constexpr int kWords = sizeof(T) * kCount / sizeof(uint4);
    uint4 words[kWords];
    T* out = reinterpret_cast<T*>(words);
#pragma unroll
    for (int i = 0; i < kCount; ++i) out[i] = FromFloat<T>(values[i]);
#pragma unroll
    for (int i = 0; i < kWords; ++i) reinterpret_cast<uint4*>(to)[i] = words[i];
  }
}

__device__ __forceinline__ float SumOverWarp(float x) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffff, x, offset);
  return x;
}

// The sum of all threads' x, for every thread, in an order that depends on the block's size alone. `scratch` [32] in
// shared memory; the block must pass a barrier before it is used again.
__device__ __forceinline__ float SumOverBlock(float x, float* scratch) {
  const int warps = static_cast<int>(blockDim.x + 31) / 32;
  x = SumOverWarp(x);
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = x;
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x) % 32;
  return SumOverWarp(lane < warps ? scratch[lane] : 0.0f);
}

// Calls body with a value of the element's type.
template <typename Body>
void WithElement(Element element, Body body) {
  if (element == Element::kBfloat16) return body(__nv_bfloat16{});
  return body(__half{});
}

inline int CeilDivide(int value, int divisor) { return (value + divisor - 1) / divisor; }

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_DEVICE_CUH_
