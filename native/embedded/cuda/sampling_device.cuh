// What the sampling kernels share.
#ifndef EMBEDDED_CUDA_SAMPLING_DEVICE_CUH_
#define EMBEDDED_CUDA_SAMPLING_DEVICE_CUH_

#include "native/embedded/cuda/device.cuh"
#include "native/embedded/cuda/sampling.h"
#include "native/embedded/cuda/sampling_workspace.h"

namespace embedded::cuda {

// Floats in their order as unsigned numbers, 0 and -0 the same; above 0 for every number.
__device__ __forceinline__ uint32_t OrderedBits(float x) {
  const uint32_t bits = __float_as_uint(x + 0.0f);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
__device__ __forceinline__ float FromOrderedBits(uint32_t ordered) {
  return __uint_as_float(ordered & 0x80000000u ? ordered & 0x7FFFFFFFu : ~ordered);
}

// Larger for a larger logit, and for the lower token of equal ones. 0 is less than any.
__device__ __forceinline__ uint64_t MaximumKey(float logit, int token) {
  return uint64_t{OrderedBits(logit)} << 32 | ~static_cast<uint32_t>(token);
}

struct RowMaximum {
  float logit;
  int32_t token;
  bool has_nan;

  __device__ bool finite() const { return isfinite(logit); }
};

// Of the chunks of a row, for every thread of the block.
__device__ __forceinline__ RowMaximum MaximumOf(const ChunkMaximum* maxima, int chunks) {
  __shared__ uint64_t keys[32];
  __shared__ int nans[32];
  uint64_t key = 0;
  int has_nan = 0;
  for (int i = static_cast<int>(threadIdx.x); i < chunks; i += static_cast<int>(blockDim.x)) {
    key = max(key, maxima[i].key);
    has_nan |= static_cast<int>(maxima[i].has_nan);
  }
  for (int offset = 16; offset > 0; offset /= 2) {
    key = max(key, static_cast<uint64_t>(__shfl_xor_sync(0xffffffff, static_cast<unsigned long long>(key), offset)));
    has_nan |= __shfl_xor_sync(0xffffffff, has_nan, offset);
  }
  if (threadIdx.x % 32 == 0) {
    keys[threadIdx.x / 32] = key;
    nans[threadIdx.x / 32] = has_nan;
  }
  __syncthreads();
  for (int warp = 0; warp < static_cast<int>(blockDim.x) / 32; ++warp) {
    key = max(key, keys[warp]);
    has_nan |= nans[warp];
  }
  __syncthreads();
  // A row of NaN alone has no largest logit; -infinity stands for it.
  const float logit = key == 0 ? -INFINITY : FromOrderedBits(static_cast<uint32_t>(key >> 32));
  return {logit, static_cast<int32_t>(~static_cast<uint32_t>(key)), has_nan != 0};
}

// The sums of x over threads 0 to this one, in a fixed order; `scratch` [32].
__device__ __forceinline__ double RunningSum(double x, double* scratch) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
#pragma unroll
  for (int offset = 1; offset < 32; offset *= 2) {
    const double other = __shfl_up_sync(0xffffffff, x, offset);
    if (lane >= offset) x += other;
  }
  if (lane == 31) scratch[warp] = x;
  __syncthreads();
  double before = 0;
  for (int w = 0; w < warp; ++w) before += scratch[w];
  __syncthreads();
  return before + x;
}

// The sum of a row's sums, for every thread.
__device__ __forceinline__ double TotalOf(const double* sums, int count, double* scratch) {
  double own = 0;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) own += sums[i];
  const double through = RunningSum(own, scratch);
  if (threadIdx.x == blockDim.x - 1) scratch[0] = through;
  __syncthreads();
  const double total = scratch[0];
  __syncthreads();
  return total;
}

// Calls body(index, value) for values[first], values[first + stride] and so on below `end`. Eight are loaded before the
// first is looked at: the compiler may not move a load across the atomics of a body.
template <typename Body>
__device__ __forceinline__ void ForEach(const float* values, int first, int stride, int end, Body body) {
  constexpr int kAtOnce = 8;
  for (; first < end; first += kAtOnce * stride) {
    float loaded[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) loaded[i] = first + i * stride < end ? values[first + i * stride] : 0.0f;
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i)
      if (first + i * stride < end) body(first + i * stride, loaded[i]);
  }
}

__device__ __forceinline__ bool Cuts(const SamplingRow& row, int vocab_size) {
  return row.temperature != 0 && ((row.top_k > 0 && row.top_k < vocab_size) || row.top_p < 1);
}
__device__ __forceinline__ bool WantsLogSum(const SamplingRow& row) {
  return row.logprob != LogprobWish::kNone || row.top_logprobs > 0;
}

// log(sum of exp(logit)) of the logits as they are.
__device__ __forceinline__ double LogSum(const SamplingWorkspace& at, const SamplingRow& row, size_t index,
                                         double* scratch) {
  const ChunkMaximum* maxima = (row.processed_row < 0 ? at.maxima : at.raw_maxima) + index * at.chunks;
  const float maximum = MaximumOf(maxima, at.chunks).logit;
  return maximum + log(TotalOf(at.raw_sums + index * at.sums, at.sums, scratch));
}

void LaunchDraw(const SamplingShape& shape, const SamplingBuffers& buffers, const SamplingWorkspace& at,
                cudaStream_t stream);
void LaunchTopLogprobs(const SamplingShape& shape, const SamplingBuffers& buffers, const SamplingWorkspace& at,
                       cudaStream_t stream);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_SAMPLING_DEVICE_CUH_
