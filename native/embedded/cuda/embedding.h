// Embedding rows of tokens that lie in device memory: a token that was just drawn need not visit the host.
//   hidden[i] = table[token of row i]
// Floor: rows * size * (2 + bytes of a residual value) over the memory bandwidth.
#ifndef EMBEDDED_CUDA_EMBEDDING_H_
#define EMBEDDED_CUDA_EMBEDDING_H_

#include <cuda_runtime.h>

#include <cstdint>

#include "native/embedded/cuda/element.h"

namespace embedded::cuda {

struct EmbeddingShape {
  Element element;
  Residual residual;
  int rows;
  int size;  // hidden size; any number, a multiple of 8 is fast
};

struct EmbeddingBuffers {
  const int32_t* tokens;    // [rows]; below 0: padding, the row becomes 0
  const int32_t* drawn;     // [any] tokens that the sampler wrote; read only through `drawn_at`
  const int32_t* drawn_at;  // [rows] index into drawn, or below 0: tokens[i] is meant. Null: tokens alone
  const void* table;        // [vocab_size, size] element
  void* hidden;             // [rows, size] residual
};

void GatherEmbeddings(const EmbeddingShape& shape, const EmbeddingBuffers& buffers, cudaStream_t stream);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_EMBEDDING_H_
