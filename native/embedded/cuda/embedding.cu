#include "native/embedded/cuda/device.cuh"
#include "native/embedded/cuda/embedding.h"

namespace embedded::cuda {
namespace {

constexpr int kThreads = 256;

template <typename T, typename R, int kVector>
__global__ void __launch_bounds__(kThreads)
    GatherEmbeddingsKernel(const int32_t* tokens, const int32_t* drawn, const int32_t* drawn_at,
                           const __grid_constant__ EmbeddingTable table, R* hidden, int size) {
  WaitForPredecessor();
  const size_t row = blockIdx.x;
  const int place = drawn_at == nullptr ? -1 : drawn_at[row];
  const int32_t token = place < 0 ? tokens[row] : drawn[place];
  const T* from = nullptr;
  if (token >= 0)
    from = static_cast<const T*>(table.parts[token / table.part_rows]) +
           static_cast<size_t>(token % table.part_rows) * size;
  for (int at = static_cast<int>(threadIdx.x) * kVector; at < size; at += kThreads * kVector) {
    float values[kVector] = {};
    if (from != nullptr) LoadFloats(from + at, values);
    StoreFloats(hidden + row * size + at, values);
  }
}

template <typename T, typename R, int kVector>
void Run(const EmbeddingShape& shape, const EmbeddingBuffers& b, cudaStream_t stream) {
  Launch("GatherEmbeddings", GatherEmbeddingsKernel<T, R, kVector>,
         {dim3(static_cast<unsigned>(shape.rows)), dim3(kThreads)}, stream, b.tokens, b.drawn, b.drawn_at, b.table,
         static_cast<R*>(b.hidden), shape.size);
}

}  // namespace

void GatherEmbeddings(const EmbeddingShape& shape, const EmbeddingBuffers& buffers, cudaStream_t stream) {
  WithElement(shape.element, [&](auto element) {
    using T = decltype(element);
    const bool vectors = shape.size % 8 == 0;
    if (shape.residual == Residual::kFloat32)
      return vectors ? Run<T, float, 8>(shape, buffers, stream) : Run<T, float, 1>(shape, buffers, stream);
    return vectors ? Run<T, T, 8>(shape, buffers, stream) : Run<T, T, 1>(shape, buffers, stream);
  });
}

}  // namespace embedded::cuda
