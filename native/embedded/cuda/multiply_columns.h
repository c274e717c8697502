// x[t, k] *= factors[k], rounded once.
//   x        [tokens, size]  elements
//   factors  [size]          elements
#ifndef EMBEDDED_CUDA_MULTIPLY_COLUMNS_H_
#define EMBEDDED_CUDA_MULTIPLY_COLUMNS_H_

#include <cuda_runtime.h>

#include "native/embedded/cuda/element.h"

namespace embedded::cuda {

// At most 65,535 tokens.
void MultiplyColumns(Element element, int tokens, int size, const void* factors, void* x, cudaStream_t stream);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_MULTIPLY_COLUMNS_H_
