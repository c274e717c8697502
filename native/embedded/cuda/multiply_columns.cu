#include "native/embedded/cuda/device.cuh"
#include "native/embedded/cuda/multiply_columns.h"

namespace embedded::cuda {
namespace {

constexpr int kThreads = 256;

template <typename T>
__global__ void __launch_bounds__(kThreads) MultiplyColumnsKernel(const T* factors, T* x, int size) {
  WaitForPredecessor();
  const int at = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (at >= size) return;
  T* const value = x + static_cast<size_t>(blockIdx.y) * size + at;
  *value = FromFloat<T>(ToFloat(*value) * ToFloat(factors[at]));
}

}  // namespace

void MultiplyColumns(Element element, int tokens, int size, const void* factors, void* x, cudaStream_t stream) {
  WithElement(element, [&](auto type) {
    using T = decltype(type);
    Launch("MultiplyColumns", MultiplyColumnsKernel<T>,
           {dim3(static_cast<unsigned>(CeilDivide(size, kThreads)), static_cast<unsigned>(tokens)), dim3(kThreads)},
           stream, static_cast<const T*>(factors), static_cast<T*>(x), size);
  });
}

}  // namespace embedded::cuda
