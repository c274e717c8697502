#include <cmath>

#include "native/embedded/cuda/device.cuh"
#include "native/embedded/cuda/rope_append.h"

namespace embedded::cuda {
namespace {

constexpr int kThreads = 128;

struct Arguments {
  int heads;
  int kv_heads;
  int head_dim;
  int tokens_per_block;
  int max_blocks;
  const float2* angles;
  const int32_t* positions;
  const int32_t* sequence;
  const int32_t* block_table;
};

// One block a token; a thread takes kVector pairs (i, i + half) of one head, or 2 * kVector values of a value head.
template <typename T, int kVector>
__global__ void __launch_bounds__(kThreads) RopeAppendKernel(Arguments a, T* qkv, T* keys, T* values) {
  WaitForPredecessor();
  const size_t token = blockIdx.x;
  const int position = a.positions[token];
  if (position < 0) return;
  const int half = a.head_dim / 2;
  const int pieces = half / kVector;  // of a head
  const size_t sequence = a.sequence == nullptr ? token : static_cast<size_t>(a.sequence[token]);
  const size_t block =
      static_cast<size_t>(a.block_table[sequence * static_cast<size_t>(a.max_blocks) + position / a.tokens_per_block]);
  const int slot = position % a.tokens_per_block;
  T* row = qkv + token * static_cast<size_t>(a.heads + 2 * a.kv_heads) * a.head_dim;
  const float2* angles = a.angles + static_cast<size_t>(position) * half;

  const int work = (a.heads + 2 * a.kv_heads) * pieces;
  for (int item = static_cast<int>(blockIdx.y * kThreads + threadIdx.x); item < work;
       item += static_cast<int>(gridDim.y) * kThreads) {
    const int head = item / pieces;
    const int i = item % pieces * kVector;
    T* x = row + static_cast<size_t>(head) * a.head_dim + i;
    float low[kVector], high[kVector];
    LoadFloats(x, low);
    LoadFloats(x + half, high);
    const bool is_query = head < a.heads;
    const bool is_value = head >= a.heads + a.kv_heads;
    if (!is_value) {
#pragma unroll
      for (int j = 0; j < kVector; ++j) {
        const float2 angle = angles[i + j];
        const float l = low[j], h = high[j];
        low[j] = l * angle.x - h * angle.y;
        high[j] = h * angle.x + l * angle.y;
      }
    }
    T* to = x;
    if (!is_query) {
      const int kv_head = is_value ? head - a.heads - a.kv_heads : head - a.heads;
      to = (is_value ? values : keys) +
           ((block * a.kv_heads + kv_head) * a.tokens_per_block + slot) * static_cast<size_t>(a.head_dim) + i;
    }
    StoreFloats(to, low);
    StoreFloats(to + half, high);
  }
}

template <typename T, int kVector>
void Run(const RopeAppendShape& shape, const RopeAppendBuffers& b, cudaStream_t stream) {
  const KvLayout& kv = shape.kv;
  const Arguments arguments{shape.heads, kv.kv_heads, kv.head_dim, kv.tokens_per_block, shape.max_blocks,
                            b.angles,    b.positions, b.sequence,  b.block_table};
  // Few tokens are spread over more blocks; many fill the device by themselves.
  const int pieces = (shape.heads + 2 * kv.kv_heads) * (kv.head_dim / 2 / kVector);
  const int blocks = shape.tokens >= 512 ? 1 : CeilDivide(pieces, kThreads);
  Launch("RopeAppend", RopeAppendKernel<T, kVector>,
         {dim3(static_cast<unsigned>(shape.tokens), static_cast<unsigned>(blocks)), dim3(kThreads)}, stream, arguments,
         static_cast<T*>(b.qkv), static_cast<T*>(b.keys), static_cast<T*>(b.values));
}

}  // namespace

void RopeAppend(const RopeAppendShape& shape, const RopeAppendBuffers& buffers, cudaStream_t stream) {
  WithElement(shape.kv.element, [&](auto element) {
    using T = decltype(element);
    return shape.kv.head_dim % 16 == 0 ? Run<T, 8>(shape, buffers, stream) : Run<T, 1>(shape, buffers, stream);
  });
}

std::vector<float2> AngleTable(const std::vector<float>& frequencies, float factor, int positions) {
  std::vector<float2> table;
  table.reserve(frequencies.size() * static_cast<size_t>(positions));
  for (int position = 0; position < positions; ++position)
    for (const float frequency : frequencies) {
      const float angle = static_cast<float>(position) * frequency;
      table.push_back({std::cos(angle) * factor, std::sin(angle) * factor});
    }
  return table;
}

}  // namespace embedded::cuda
