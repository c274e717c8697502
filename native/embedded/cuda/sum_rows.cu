#include "native/embedded/cuda/device.cuh"
#include "native/embedded/cuda/sum_rows.h"

namespace embedded::cuda {
namespace {

constexpr int kColumns = 32;
constexpr int kRowsAtOnce = 16;

// A block sums kColumns columns of one span; its warps take the rows in turn.
template <typename T>
__global__ void __launch_bounds__(kColumns* kRowsAtOnce)
    SumRowsKernel(const RowSpan* spans, const T* x, float* out, int size) {
  __shared__ float sums[kRowsAtOnce][kColumns];
  WaitForPredecessor();
  const int column = static_cast<int>(blockIdx.x * kColumns + threadIdx.x);
  const RowSpan span = spans[blockIdx.y];
  float sum = 0;
  if (column < size)
    for (int row = static_cast<int>(threadIdx.y); row < span.count; row += kRowsAtOnce)
      sum += ToFloat(x[static_cast<size_t>(span.first + row) * size + column]);
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || column >= size) return;
  for (int i = 1; i < kRowsAtOnce; ++i) sum += sums[i][threadIdx.x];
  out[static_cast<size_t>(blockIdx.y) * size + column] = sum;
}

}  // namespace

void SumRows(Element element, int count, int size, const RowSpan* spans, const void* x, float* out,
             cudaStream_t stream) {
  WithElement(element, [&](auto type) {
    using T = decltype(type);
    Launch("SumRows", SumRowsKernel<T>,
           {dim3(static_cast<unsigned>(CeilDivide(size, kColumns)), static_cast<unsigned>(count)),
            dim3(kColumns, kRowsAtOnce)},
           stream, spans, static_cast<const T*>(x), out, size);
  });
}

}  // namespace embedded::cuda
