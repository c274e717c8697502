// How the pieces of a softmax-weighted sum become the whole. Every rounding is written out, so that kernels that merge the same pieces
// in the same order give the same bits.
#ifndef EMBEDDED_CUDA_SOFTMAX_MERGE_CUH_
#define EMBEDDED_CUDA_SOFTMAX_MERGE_CUH_

#include "native/embedded/cuda/mma.cuh"

namespace embedded::cuda {

// Merges pieces i of a softmax, each with (maximum, sum), in the order of i, for four dimensions. The maximum is of scores in powers of
// two.
struct SoftmaxMerge {
  float maximum = -INFINITY, sum = 0;
  float4 weighted = {0, 0, 0, 0};

  __device__ __forceinline__ void Add(float2 piece, float4 values) {
    const float next = fmaxf(maximum, piece.x);
    const float old_factor = exp2f(maximum - next), factor = exp2f(piece.x - next);
    const auto add = [&](float& to, float value) { to = __fmaf_rn(to, old_factor, __fmul_rn(value, factor)); };
    add(sum, piece.y);
    add(weighted.x, values.x);
    add(weighted.y, values.y);
    add(weighted.z, values.z);
    add(weighted.w, values.w);
    maximum = next;
  }
  template <typename T>
  __device__ __forceinline__ void Store(T* out) const {
    const float factor = 1.0f / sum;
    const uint2 packed = {Pack(weighted.x * factor, weighted.y * factor, T{}),
                          Pack(weighted.z * factor, weighted.w * factor, T{})};
    *reinterpret_cast<uint2*>(out) = packed;
  }
};

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_SOFTMAX_MERGE_CUH_
