// Copies whole KV blocks in all layers at once: what a fork needs before it writes to a block that it shares, and blocks
// that go to host memory or come back.
#ifndef EMBEDDED_CUDA_KV_COPY_H_
#define EMBEDDED_CUDA_KV_COPY_H_

#include <cuda_runtime.h>

#include <cstdint>

#include "native/embedded/cuda/kv_format.h"

namespace embedded::cuda {

struct KvBlockCopy {
  int32_t from;
  int32_t to;
};

// Memory that KvFormat lays out, for so many blocks: of the GPU, or pinned, which the GPU reads and writes over its bus.
struct KvBlocks {
  void* data;
  int count;
};

struct KvCopyBuffers {
  const KvBlockCopy* copies;  // [count] device memory; a `from` below 0 is padding. No `to` is another copy's `from`
  int count;
  KvBlocks from;
  KvBlocks to;
};

// Of `kv` the number of blocks is not used.
void CopyKvBlocks(const KvFormat& kv, const KvCopyBuffers& buffers, cudaStream_t stream);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_KV_COPY_H_
