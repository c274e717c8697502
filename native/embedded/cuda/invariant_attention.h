// Attention whose arithmetic for a row follows from the row's position alone, for batchInvariant: the same bits in a chunk of a prompt
// and in a decode step, beside any other rows.
//   out as PlainAttention gives it (plain_attention.h)
// A context is cut into pieces, at most 16 of at least 512 tokens, whose length follows from the row's position. Four warps walk
// through a piece in tiles of 64 tokens, 16 each, with a softmax of their own; warps, then pieces, are merged in their order.
//
// Rows of one sequence share the keys and values that a block reads. Where there are few rows the pieces of a context go to several
// blocks. Sums in fp32. Sources: as decode_attention.h.
#ifndef EMBEDDED_CUDA_INVARIANT_ATTENTION_H_
#define EMBEDDED_CUDA_INVARIANT_ATTENTION_H_

#include <cuda_runtime.h>

#include <cstddef>

#include "native/embedded/cuda/launch.h"
#include "native/embedded/cuda/plain_attention.h"

namespace embedded::cuda {

// Whether the current device and the cache fit; else PlainAttention serves, which is batch invariant too.
bool CanInvariantAttention(const KvFormat& kv);

// Enough for any number of rows, on a device like this.
size_t InvariantAttentionWorkspaceBytes(const KvLayout& kv, const DeviceTraits& traits);

// Padding rows of `out` are left as they are. `buffers.table_begin` must be null. The workspace is cleared before it is used for the
// first time.
void InvariantAttention(const PlainAttentionShape& shape, const PlainAttentionBuffers& buffers, void* workspace,
                        cudaStream_t stream);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_INVARIANT_ATTENTION_H_
