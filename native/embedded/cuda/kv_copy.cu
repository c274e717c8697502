#include "native/embedded/cuda/device.cuh"
#include "native/embedded/cuda/kv_copy.h"

namespace embedded::cuda {
namespace {

constexpr int kThreads = 256;

// One block a copy and plane (keys or values of a layer). Word is 16 bytes, or 2 where a block is no multiple of that.
template <typename Word>
__global__ void __launch_bounds__(kThreads)
    CopyKvBlocksKernel(const KvBlockCopy* copies, Word* cache, size_t words_per_block, size_t words_per_plane) {
  WaitForPredecessor();
  const KvBlockCopy copy = copies[blockIdx.x];
  if (copy.from < 0) return;
  Word* plane = cache + blockIdx.y * words_per_plane;
  const Word* from = plane + static_cast<size_t>(copy.from) * words_per_block;
  Word* to = plane + static_cast<size_t>(copy.to) * words_per_block;
  for (size_t i = threadIdx.x; i < words_per_block; i += kThreads) to[i] = from[i];
}

template <typename Word>
void Run(const KvLayout& layout, const KvCopyBuffers& b, cudaStream_t stream) {
  const size_t words = layout.block_elements() * KvLayout::kElementBytes / sizeof(Word);
  Launch("CopyKvBlocks", CopyKvBlocksKernel<Word>,
         {dim3(static_cast<unsigned>(b.count), static_cast<unsigned>(2 * layout.layers)), dim3(kThreads)}, stream,
         b.copies, static_cast<Word*>(b.cache), words, words * static_cast<size_t>(layout.blocks));
}

}  // namespace

void CopyKvBlocks(const KvLayout& layout, const KvCopyBuffers& buffers, cudaStream_t stream) {
  if (layout.block_elements() % 8 == 0) return Run<uint4>(layout, buffers, stream);
  Run<uint16_t>(layout, buffers, stream);
}

}  // namespace embedded::cuda
