#include "native/embedded/cuda/device.cuh"
#include "native/embedded/cuda/silu.h"

namespace embedded::cuda {
namespace {

constexpr int kThreads = 256;

template <typename T, int kVector>
__global__ void __launch_bounds__(kThreads) SiluMultiplyKernel(const T* gate_up, const T* bias, T* out, int size) {
  WaitForPredecessor();
  const size_t row = blockIdx.y;
  const int at = static_cast<int>(blockIdx.x * kThreads + threadIdx.x) * kVector;
  if (at >= size) return;
  float gate[kVector], up[kVector];
  LoadFloats(gate_up + row * 2 * size + at, gate);
  LoadFloats(gate_up + row * 2 * size + size + at, up);
  if (bias != nullptr) {
    float gate_bias[kVector], up_bias[kVector];
    LoadFloats(bias + at, gate_bias);
    LoadFloats(bias + size + at, up_bias);
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      gate[i] += gate_bias[i];
      up[i] += up_bias[i];
    }
  }
#pragma unroll
  for (int i = 0; i < kVector; ++i) gate[i] = gate[i] / (1.0f + __expf(-gate[i])) * up[i];
  StoreFloats(out + row * size + at, gate);
}

template <typename T, int kVector>
void Run(const SiluShape& shape, const SiluBuffers& b, cudaStream_t stream) {
  constexpr int kMaxRows = 65535;  // of a grid's second dimension
  for (int first = 0; first < shape.rows; first += kMaxRows) {
    const int rows = min(kMaxRows, shape.rows - first);
    Launch("SiluMultiply", SiluMultiplyKernel<T, kVector>,
           {dim3(static_cast<unsigned>(CeilDivide(shape.size, kThreads * kVector)), static_cast<unsigned>(rows)),
            dim3(kThreads)},
           stream, static_cast<const T*>(b.gate_up) + static_cast<size_t>(first) * 2 * shape.size,
           static_cast<const T*>(b.bias), static_cast<T*>(b.out) + static_cast<size_t>(first) * shape.size, shape.size);
  }
}

}  // namespace

void SiluMultiply(const SiluShape& shape, const SiluBuffers& buffers, cudaStream_t stream) {
  WithElement(shape.element, [&](auto element) {
    using T = decltype(element);
    return shape.size % 8 == 0 ? Run<T, 8>(shape, buffers, stream) : Run<T, 1>(shape, buffers, stream);
  });
}

}  // namespace embedded::cuda
