// Sums of consecutive rows: what the mean of hidden states is made of.
//   out[s, k] = sum over i < spans[s].count of x[spans[s].first + i, k]
//   x      [rows, size] elements
//   spans  [count], in device memory
//   out    [count, size] fp32
// Sums in fp32. Floor: the bytes of the rows that the spans name, over the memory bandwidth.
#ifndef EMBEDDED_CUDA_SUM_ROWS_H_
#define EMBEDDED_CUDA_SUM_ROWS_H_

#include <cuda_runtime.h>

#include <cstdint>

#include "native/embedded/cuda/element.h"

namespace embedded::cuda {

struct RowSpan {
  int32_t first;
  int32_t count;
};

// At most 65,535 spans.
void SumRows(Element element, int count, int size, const RowSpan* spans, const void* x, float* out,
             cudaStream_t stream);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_SUM_ROWS_H_
