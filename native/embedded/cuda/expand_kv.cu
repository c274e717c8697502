#include "native/embedded/cuda/device.cuh"
#include "native/embedded/cuda/expand_kv.h"
#include "native/embedded/cuda/int8_kv.cuh"

namespace embedded::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kVector = 8;

// One thread block a block of the cache, head and plane (keys or values).
template <typename T>
__global__ void __launch_bounds__(kThreads) ExpandKvKernel(ExpandKvBuffers b, int tokens_per_block, int head_dim) {
  WaitForPredecessor();
  const uint8_t* const plane = static_cast<const uint8_t*>(blockIdx.z == 0 ? b.keys : b.values);
  const size_t head = static_cast<size_t>(b.blocks[blockIdx.x]) * gridDim.y + blockIdx.y;
  const size_t to_head = static_cast<size_t>(blockIdx.x) * gridDim.y + blockIdx.y;
  T* const to = static_cast<T*>(blockIdx.z == 0 ? b.expanded_keys : b.expanded_values) +
                to_head * static_cast<size_t>(tokens_per_block * head_dim);
  const int vectors = head_dim / kVector;
  for (int i = static_cast<int>(threadIdx.x); i < tokens_per_block * vectors; i += kThreads) {
    const Int8Token at(head, i / vectors, tokens_per_block, head_dim);
    const float scale = Int8Scale(plane, at);
    const uint2 words = *reinterpret_cast<const uint2*>(plane + at.codes + i % vectors * kVector);
    const uint8_t* const codes = reinterpret_cast<const uint8_t*>(&words);
    float numbers[kVector];
#pragma unroll
    for (int j = 0; j < kVector; ++j) numbers[j] = FromCode(codes[j]) * scale;
    StoreFloats(to + i * kVector, numbers);
  }
}

}  // namespace

void ExpandKv(const KvLayout& layout, const ExpandKvBuffers& buffers, cudaStream_t stream) {
  WithElement(layout.element, [&](auto element) {
    Launch("ExpandKv", ExpandKvKernel<decltype(element)>,
           {dim3(static_cast<unsigned>(buffers.count), static_cast<unsigned>(layout.kv_heads), 2), dim3(kThreads)},
           stream, buffers, layout.tokens_per_block, layout.head_dim);
  });
}

}  // namespace embedded::cuda
