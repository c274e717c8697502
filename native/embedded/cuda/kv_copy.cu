#include "native/embedded/cuda/device.cuh"
#include "native/embedded/cuda/kv_copy.h"

namespace embedded::cuda {
namespace {

constexpr int kThreads = 256;

// One block a copy and plane (keys or values of a layer). Word is 16 bytes, or 2 where a block is no multiple of that.
template <typename Word>
__global__ void __launch_bounds__(kThreads)
    CopyKvBlocksKernel(const KvBlockCopy* copies, KvBlocks source, KvBlocks target, size_t words_per_block) {
  WaitForPredecessor();
  const KvBlockCopy copy = copies[blockIdx.x];
  if (copy.from < 0) return;
  const auto block = [&](const KvBlocks& blocks, int number) {
    return static_cast<Word*>(blocks.data) +
           (blockIdx.y * static_cast<size_t>(blocks.count) + static_cast<size_t>(number)) * words_per_block;
  };
  const Word* from = block(source, copy.from);
  Word* to = block(target, copy.to);
  for (size_t i = threadIdx.x; i < words_per_block; i += kThreads) to[i] = from[i];
}

template <typename Word>
void Run(const KvFormat& kv, const KvCopyBuffers& b, cudaStream_t stream) {
  const size_t words = kv.block_bytes() / sizeof(Word);
  Launch("CopyKvBlocks", CopyKvBlocksKernel<Word>,
         {dim3(static_cast<unsigned>(b.count), static_cast<unsigned>(2 * kv.layout.layers)), dim3(kThreads)}, stream,
         b.copies, b.from, b.to, words);
}

}  // namespace

void CopyKvBlocks(const KvFormat& kv, const KvCopyBuffers& buffers, cudaStream_t stream) {
  if (kv.block_bytes() % sizeof(uint4) == 0) return Run<uint4>(kv, buffers, stream);
  Run<uint16_t>(kv, buffers, stream);
}

}  // namespace embedded::cuda
