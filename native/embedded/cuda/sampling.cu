#include <cfloat>

#include "native/embedded/cuda/exponential.cuh"
#include "native/embedded/cuda/sampling.h"
#include "native/embedded/cuda/sampling_device.cuh"

namespace embedded::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kPerThread = kChunk / kThreads;

__device__ const float* LogitsOf(const SamplingShape& shape, const SamplingBuffers& b, const SamplingRow& row) {
  if (row.processed_row >= 0) return b.processed + static_cast<size_t>(row.processed_row) * shape.vocab_size;
  return b.logits + static_cast<size_t>(row.logits_row) * shape.logits_stride;
}

__device__ void FindMaximum(const float* logits, int vocab_size, ChunkMaximum* out) {
  __shared__ uint64_t keys[kThreads / 32];
  __shared__ int nans[kThreads / 32];
  const int first = static_cast<int>(blockIdx.x) * kChunk + static_cast<int>(threadIdx.x);
  float values[kPerThread];
#pragma unroll
  for (int i = 0; i < kPerThread; ++i) {
    const int token = first + i * kThreads;
    values[i] = token < vocab_size ? logits[token] : -INFINITY;
  }
  uint64_t key = 0;
  int has_nan = 0;
#pragma unroll
  for (int i = 0; i < kPerThread; ++i) {
    const int token = first + i * kThreads;
    if (isnan(values[i])) {
      has_nan = 1;
    } else if (token < vocab_size) {
      key = max(key, MaximumKey(values[i], token));
    }
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
  if (threadIdx.x == 0) {
    for (int warp = 0; warp < kThreads / 32; ++warp) {
      key = max(key, keys[warp]);
      has_nan |= nans[warp];
    }
    *out = {key, static_cast<uint64_t>(has_nan)};
  }
  __syncthreads();
}

// One block a chunk and row.
__global__ void __launch_bounds__(kThreads)
    MaximumKernel(SamplingShape shape, SamplingBuffers b, SamplingWorkspace at) {
  WaitForPredecessor();
  const SamplingRow& row = b.rows[blockIdx.y];
  if (row.logits_row < 0) return;
  const size_t out = static_cast<size_t>(blockIdx.y) * at.chunks + blockIdx.x;
  if (blockIdx.x == 0 && Cuts(row, shape.vocab_size)) {
    WeightHistogram& histogram = at.histograms[blockIdx.y];
    for (int bin = static_cast<int>(threadIdx.x); bin < kBins; bin += kThreads) {
      histogram.count[bin] = 0;
      histogram.rest[bin] = 0;
    }
  }
  FindMaximum(LogitsOf(shape, b, row), shape.vocab_size, at.maxima + out);
  if (row.processed_row >= 0)
    FindMaximum(b.logits + static_cast<size_t>(row.logits_row) * shape.logits_stride, shape.vocab_size,
                at.raw_maxima + out);
}

// Of one chunk, in shared memory.
struct ChunkHistogram {
  uint32_t count[kBins];
  uint32_t low[kBins];   // sums of the lower ten of the 20 bits that follow the bin's
  uint32_t high[kBins];  // and of the upper ten

  __device__ void Clear() {
    for (int bin = static_cast<int>(threadIdx.x); bin < kBins; bin += kThreads) count[bin] = low[bin] = high[bin] = 0;
    __syncthreads();
  }
  __device__ void Add(float weight) {
    if (!(weight > 0)) return;
    const uint32_t key = __float_as_uint(weight);
    const uint32_t bin = key >> 20 & (kBins - 1);
    atomicAdd(&count[bin], 1u);
    atomicAdd(&low[bin], key & 0x3FF);
    atomicAdd(&high[bin], key >> 10 & 0x3FF);
  }
  __device__ void AddTo(WeightHistogram* row) {
    __syncthreads();
    for (int bin = static_cast<int>(threadIdx.x); bin < kBins; bin += kThreads) {
      if (count[bin] == 0) continue;
      atomicAdd(&row->count[bin], count[bin]);
      atomicAdd(reinterpret_cast<unsigned long long*>(&row->rest[bin]), low[bin] + (uint64_t{high[bin]} << 10));
    }
  }
};

// One warp a sum of 256 weights, its lanes' sums added in a fixed order. `weights` and `histogram` may be
// null.
__device__ void SumExponentials(const float* logits, int vocab_size, float maximum, float factor, float least,
                                float* weights, double* sums, ChunkHistogram* histogram) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int first_sum = static_cast<int>(blockIdx.x) * (kChunk / kSumTokens);
  for (int s = warp; s < kChunk / kSumTokens; s += kThreads / 32) {
    const int first = (first_sum + s) * kSumTokens;
    if (first >= vocab_size) break;
    double sum = 0;
#pragma unroll
    for (int i = 0; i < kSumTokens / 32; ++i) {
      const int token = first + i * 32 + lane;
      if (token >= vocab_size) continue;
      float weight = Exponential(__fmul_rn(__fsub_rn(logits[token], maximum), factor));
      if (weight < least) weight = 0;
      if (weights != nullptr) weights[token] = weight;
      if (histogram != nullptr) histogram->Add(weight);
      sum += weight;
    }
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffff, sum, offset);
    if (lane == 0) sums[first_sum + s] = sum;
  }
}

// One block a chunk and row.
__global__ void __launch_bounds__(kThreads)
    WeightsKernel(SamplingShape shape, SamplingBuffers b, SamplingWorkspace at) {
  WaitForPredecessor();
  __shared__ ChunkHistogram histogram;
  const SamplingRow row = b.rows[blockIdx.y];
  if (row.logits_row < 0) return;
  const size_t index = blockIdx.y;
  const bool cuts = Cuts(row, shape.vocab_size);
  if (cuts) histogram.Clear();
  if (row.temperature != 0) {
    const float maximum = MaximumOf(at.maxima + index * at.chunks, at.chunks).logit;
    const float factor = fminf(__fdiv_rn(1.0f, row.temperature), FLT_MAX);  // 0 * infinity is no number
    // With min-p alone the cut may be made here: the likeliest token weighs 1.
    SumExponentials(LogitsOf(shape, b, row), shape.vocab_size, maximum, factor, cuts ? 0.0f : row.min_p,
                    at.weights + index * shape.vocab_size, at.weight_sums + index * at.sums,
                    cuts ? &histogram : nullptr);
    if (cuts) histogram.AddTo(&at.histograms[index]);
  }
  if (WantsLogSum(row)) {
    const ChunkMaximum* maxima = (row.processed_row < 0 ? at.maxima : at.raw_maxima) + index * at.chunks;
    SumExponentials(b.logits + static_cast<size_t>(row.logits_row) * shape.logits_stride, shape.vocab_size,
                    MaximumOf(maxima, at.chunks).logit, 1.0f, 0.0f, nullptr, at.raw_sums + index * at.sums, nullptr);
  }
}

}  // namespace

size_t SamplingWorkspaceBytes(int rows, int vocab_size) { return SamplingWorkspace(nullptr, rows, vocab_size).bytes; }

void SampleTokens(const SamplingShape& shape, const SamplingBuffers& b, cudaStream_t stream) {
  const SamplingWorkspace at(b.workspace, shape.rows, shape.vocab_size);
  const Grid grid{dim3(static_cast<unsigned>(at.chunks), static_cast<unsigned>(shape.rows)), dim3(kThreads)};
  Launch("SampleTokens", MaximumKernel, grid, stream, shape, b, at);
  if (shape.work == SamplingWork::kAny) Launch("SampleTokens", WeightsKernel, grid, stream, shape, b, at);
  LaunchDraw(shape, b, at, stream);
  if (shape.max_top_logprobs > 0) LaunchTopLogprobs(shape, b, at, stream);
}

}  // namespace embedded::cuda
