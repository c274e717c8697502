#include <limits>
#include <type_traits>

#include "native/embedded/cuda/device.cuh"
#include "native/embedded/cuda/int8_kv.cuh"
#include "native/embedded/cuda/plain_attention.h"

namespace embedded::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kMaxHeadDim = 256;
constexpr int kDimsPerThread = kMaxHeadDim / kThreads;

struct Arguments {
  int heads, kv_heads, head_dim, tokens_per_block, max_blocks, query_stride;
  float scale;
  int window;
  const int32_t* positions;
  const int32_t* sequence;
  const int32_t* block_table;
  const int32_t* table_begin;
};

template <typename Stored>
__device__ float Number(Stored x) {
  if constexpr (std::is_same_v<Stored, uint8_t>)
    return FromCode(x);
  else
    return ToFloat(x);
}

// One block a row and head. It takes 128 tokens at a time: a thread has the score of one token, then the sums of up to
// two dimensions.
template <typename T, typename Stored>
__global__ void __launch_bounds__(kThreads)
    PlainAttentionKernel(Arguments a, const T* queries, const Stored* keys, const Stored* values, T* out) {
  __shared__ float query[kMaxHeadDim];
  __shared__ float weights[kThreads];
  __shared__ size_t rows[kThreads];  // where each token's keys and values begin
  __shared__ float scratch[32];
  WaitForPredecessor();
  const size_t row = blockIdx.x;
  const int head = static_cast<int>(blockIdx.y);
  const int kv_head = head / (a.heads / a.kv_heads);
  const int thread = static_cast<int>(threadIdx.x);
  const int position = a.positions[row];
  const size_t sequence = a.sequence == nullptr || position < 0 ? row : static_cast<size_t>(a.sequence[row]);
  const int32_t* table =
      a.block_table + (a.table_begin == nullptr || position < 0 ? sequence * a.max_blocks
                                                                : static_cast<size_t>(a.table_begin[sequence]));
  for (int d = thread; d < a.head_dim; d += kThreads)
    query[d] = position < 0 ? 0.0f : ToFloat(queries[row * a.query_stride + head * a.head_dim + d]) * a.scale;
  float maximum = -INFINITY, sum = 0;
  float sums[kDimsPerThread] = {};
  __syncthreads();
  for (int first = max(position + 1 - a.window, 0); first <= position; first += kThreads) {
    const int tokens = min(kThreads, position + 1 - first);
    float score = -INFINITY, value_scale = 1;
    if (thread < tokens) {
      const int token = first + thread;
      const size_t block = static_cast<size_t>(table[token / a.tokens_per_block]);
      const size_t block_head = block * a.kv_heads + kv_head;
      const int slot = token % a.tokens_per_block;
      size_t at;
      float key_scale = 1;
      if constexpr (std::is_same_v<Stored, uint8_t>) {
        const Int8Token stored(block_head, slot, a.tokens_per_block, a.head_dim);
        at = stored.codes;
        key_scale = Int8Scale(keys, stored);
        value_scale = Int8Scale(values, stored);
      } else {
        at = (block_head * a.tokens_per_block + slot) * static_cast<size_t>(a.head_dim);
      }
      rows[thread] = at;
      score = 0;
      for (int d = 0; d < a.head_dim; ++d) score += query[d] * Number(keys[at + d]);
      score *= key_scale;
    }
    weights[thread] = score;
    __syncthreads();
    float next = maximum;
    for (int i = 0; i < tokens; ++i) next = fmaxf(next, weights[i]);
    __syncthreads();
    const float weight = thread < tokens ? expf(score - next) : 0.0f;
    weights[thread] = weight * value_scale;
    const float factor = expf(maximum - next);
    maximum = next;
    sum = sum * factor + SumOverBlock(weight, scratch);  // has a barrier: all weights are written
    for (int i = 0; i < kDimsPerThread; ++i) {
      const int d = thread + i * kThreads;
      if (d >= a.head_dim) continue;
      sums[i] *= factor;
      for (int t = 0; t < tokens; ++t) sums[i] += weights[t] * Number(values[rows[t] + d]);
    }
    __syncthreads();
  }
  for (int i = 0; i < kDimsPerThread; ++i) {
    const int d = thread + i * kThreads;
    if (d < a.head_dim)
      out[(row * a.heads + head) * a.head_dim + d] = FromFloat<T>(position < 0 ? 0.0f : sums[i] / sum);
  }
}

}  // namespace

void PlainAttention(const PlainAttentionShape& shape, const PlainAttentionBuffers& b, cudaStream_t stream) {
  const KvLayout& kv = shape.kv.layout;
  const int window = shape.window.value_or(std::numeric_limits<int>::max());
  const Arguments arguments{shape.heads,      kv.kv_heads,        kv.head_dim,   kv.tokens_per_block,
                            shape.max_blocks, shape.query_stride, shape.scale,   window,
                            b.positions,      b.sequence,         b.block_table, b.table_begin};
  WithElement(kv.element, [&](auto element) {
    using T = decltype(element);
    const auto launch = [&](auto stored) {
      using Stored = decltype(stored);
      Launch("PlainAttention", PlainAttentionKernel<T, Stored>,
             {dim3(static_cast<unsigned>(shape.rows), static_cast<unsigned>(shape.heads)), dim3(kThreads)}, stream,
             arguments, static_cast<const T*>(b.queries), static_cast<const Stored*>(b.keys),
             static_cast<const Stored*>(b.values), static_cast<T*>(b.out));
    };
    shape.kv.type == KvType::kInt8 ? launch(uint8_t{}) : launch(T{});
  });
}

}  // namespace embedded::cuda
