#include "native/embedded/cuda/device.cuh"
#include "native/embedded/cuda/rms_norm.h"

namespace embedded::cuda {
namespace {

constexpr int kMaxThreads = 512;
constexpr int kKept = 4;  // vectors of a row that a thread keeps in registers; 512 * 4 * 8 values

// One block a row. A thread's values stay in registers between the two passes, as far as kKept reaches.
template <typename T, typename R, int kVector>
__global__ void __launch_bounds__(kMaxThreads)
    RmsNormKernel(R* hidden, const T* delta, const int* row_index, const T* weight, T* out, int size, float epsilon) {
  __shared__ float scratch[32];
  WaitForPredecessor();
  const int row = row_index == nullptr ? static_cast<int>(blockIdx.x) : row_index[blockIdx.x];
  if (row < 0) return;
  R* x = hidden + static_cast<size_t>(row) * size;
  const int stride = static_cast<int>(blockDim.x) * kVector;
  const auto load = [&](int at, float(&values)[kVector]) {
    LoadFloats(x + at, values);
    if (delta == nullptr) return;
    float added[kVector];
    LoadFloats(delta + static_cast<size_t>(row) * size + at, added);
#pragma unroll
    for (int i = 0; i < kVector; ++i) values[i] += added[i];
    StoreFloats(x + at, values);
    // The norm is of what was stored, so that a later reader of `hidden` sees the same numbers.
#pragma unroll
    for (int i = 0; i < kVector; ++i) values[i] = ToFloat(FromFloat<R>(values[i]));
  };
  float kept[kKept][kVector];
  float squares = 0;
  int at = static_cast<int>(threadIdx.x) * kVector;
#pragma unroll
  for (int k = 0; k < kKept; ++k, at += stride) {
    if (at >= size) continue;
    load(at, kept[k]);
#pragma unroll
    for (int i = 0; i < kVector; ++i) squares += kept[k][i] * kept[k][i];
  }
  for (; at < size; at += stride) {
    float values[kVector];
    load(at, values);
#pragma unroll
    for (int i = 0; i < kVector; ++i) squares += values[i] * values[i];
  }
  const float factor = 1.0f / sqrtf(SumOverBlock(squares, scratch) / static_cast<float>(size) + epsilon);

  T* to = out + static_cast<size_t>(blockIdx.x) * size;
  const auto store = [&](int position, const float(&values)[kVector]) {
    float scaled[kVector];
    LoadFloats(weight + position, scaled);
#pragma unroll
    for (int i = 0; i < kVector; ++i) scaled[i] *= values[i] * factor;
    StoreFloats(to + position, scaled);
  };
  at = static_cast<int>(threadIdx.x) * kVector;
#pragma unroll
  for (int k = 0; k < kKept; ++k, at += stride)
    if (at < size) store(at, kept[k]);
  for (; at < size; at += stride) {
    float values[kVector];
    LoadFloats(x + at, values);
    store(at, values);
  }
}

template <typename T, typename R, int kVector>
void Run(const RmsNormShape& shape, const RmsNormBuffers& b, cudaStream_t stream) {
  const int vectors = CeilDivide(shape.size, kVector);
  const int threads = min(kMaxThreads, CeilDivide(vectors, 32) * 32);
  Launch("RmsNorm", RmsNormKernel<T, R, kVector>,
         {dim3(static_cast<unsigned>(shape.rows)), dim3(static_cast<unsigned>(threads))}, stream,
         static_cast<R*>(b.hidden), static_cast<const T*>(b.delta), b.row_index, static_cast<const T*>(b.weight),
         static_cast<T*>(b.out), shape.size, shape.epsilon);
}

}  // namespace

void RmsNorm(const RmsNormShape& shape, const RmsNormBuffers& buffers, cudaStream_t stream) {
  WithElement(shape.element, [&](auto element) {
    using T = decltype(element);
    const bool vectors = shape.size % 8 == 0;
    if (shape.residual == Residual::kFloat32)
      return vectors ? Run<T, float, 8>(shape, buffers, stream) : Run<T, float, 1>(shape, buffers, stream);
    return vectors ? Run<T, T, 8>(shape, buffers, stream) : Run<T, T, 1>(shape, buffers, stream);
  });
}

}  // namespace embedded::cuda
