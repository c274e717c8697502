// The gated activation of the feed-forward part.
//   out[t, i] = silu(gate_up[t, i]) * gate_up[t, size + i],  silu(x) = x / (1 + exp(-x)), bias added to gate_up first
// In fp32. Floor: rows * size * 6 bytes over the memory bandwidth.
#ifndef EMBEDDED_CUDA_SILU_H_
#define EMBEDDED_CUDA_SILU_H_

#include <cuda_runtime.h>

#include "native/embedded/cuda/element.h"

namespace embedded::cuda {

struct SiluShape {
  Element element;
  int rows;
  int size;  // intermediate size; any number, a multiple of 8 is fast
};

struct SiluBuffers {
  const void* gate_up;  // [rows, 2 * size] element: what the activation is applied to, then what it is multiplied by
  void* out;            // [rows, size] element
  const void* bias = nullptr;  // [2 * size] element; null: none
};

void SiluMultiply(const SiluShape& shape, const SiluBuffers& buffers, cudaStream_t stream);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_SILU_H_
