// Embedding rows of tokens that lie in device memory: a token that was just drawn need not visit the host.
//   hidden[i] = row of token i
// Floor: rows * size * (2 + bytes of a residual value) over the memory bandwidth.
#ifndef EMBEDDED_CUDA_EMBEDDING_H_
#define EMBEDDED_CUDA_EMBEDDING_H_

#include <cuda_runtime.h>

#include <cstdint>

#include "native/embedded/cuda/all_reduce.h"
#include "native/embedded/cuda/element.h"

namespace embedded::cuda {

struct EmbeddingShape {
  Element element;
  Residual residual;
  int rows;
  int size;  // hidden size; any number, a multiple of 8 is fast
};

// Rows of tokens, in one part or in several, which may lie on other GPUs.
struct EmbeddingTable {
  const void*
      parts[kMaxExchangeRanks];  // [part_rows, size] element; token t is row t % part_rows of part t / part_rows
  int part_rows;
};

struct EmbeddingBuffers {
  const int32_t* tokens;    // [rows]; below 0: padding, the row becomes 0
  const int32_t* drawn;     // [any] tokens that the sampler wrote; read only through `drawn_at`
  const int32_t* drawn_at;  // [rows] index into drawn, or below 0: tokens[i] is meant. Null: tokens alone
  EmbeddingTable table;
  void* hidden;  // [rows, size] residual
};

void GatherEmbeddings(const EmbeddingShape& shape, const EmbeddingBuffers& buffers, cudaStream_t stream);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_EMBEDDING_H_
