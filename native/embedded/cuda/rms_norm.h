// RMSNorm, with the residual addition before it and the choice of rows that the head needs.
//   x = hidden[row] (+ delta[row], and then hidden[row] = x)
//   out[i] = x / sqrt(mean(x^2) + epsilon) * weight,  row = rows ? rows[i] : i
// Sums in fp32. Floor: the bytes of every buffer that is given, once each, over the memory bandwidth.
// Source: arXiv:1910.07467.
#ifndef EMBEDDED_CUDA_RMS_NORM_H_
#define EMBEDDED_CUDA_RMS_NORM_H_

#include <cuda_runtime.h>

#include "native/embedded/cuda/element.h"

namespace embedded::cuda {

struct RmsNormShape {
  Element element;
  Residual residual;
  int rows;
  int size;  // of a row; any number, a multiple of 8 is fast
  float epsilon;
};

struct RmsNormBuffers {
  void* hidden;          // [tokens, size] residual; written only where delta is given
  const void* delta;     // [tokens, size] element; null: nothing is added
  const int* row_index;  // [rows] int32; null: row i is token i. A row below 0 is padding: nothing is read or written
  const void* weight;    // [size] element
  void* out;             // [rows, size] element
};

void RmsNorm(const RmsNormShape& shape, const RmsNormBuffers& buffers, cudaStream_t stream);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_RMS_NORM_H_
