// The plain twin of the linear layers, and the outputs alone for what cuBLASLt computed.
#include "native/embedded/cuda/launch.h"
#include "native/embedded/cuda/linear.h"
#include "native/embedded/cuda/linear_input.cuh"
#include "native/embedded/cuda/linear_output.cuh"
#include "native/embedded/cuda/ptx.cuh"

namespace embedded::cuda {
namespace {

constexpr int kThreads = 256;

// Warp w of the grid computes unit w of token blockIdx.y.
template <typename T, typename Input, typename Output>
__global__ void PlainLinearKernel(const T* weights, Input input, Output output) {
  ptx::WaitForEarlierKernels();
  const int unit = static_cast<int>((blockIdx.x * kThreads + threadIdx.x) / kWarpSize);
  if (unit >= output.units()) return;
  const int token = static_cast<int>(blockIdx.y);
  const int lane = static_cast<int>(threadIdx.x % kWarpSize);
  const int2 rows = output.Rows(unit);
  const T* const first_row = weights + static_cast<size_t>(rows.x) * input.depth;
  const T* const second_row = weights + static_cast<size_t>(rows.y) * input.depth;
  const float scale = input.Scale(token);
  float first = 0;
  float second = 0;
  for (int k = lane; k < input.depth; k += kWarpSize) {
    const float x = input.Value(token, k, scale);
    first += x * ToFloat(first_row[k]);
    second += x * ToFloat(second_row[k]);
  }
  first = SumOverWarp(first);
  second = SumOverWarp(second);
  if (lane != 0) return;
  const auto place = output.ForToken(token);
  output.Store(place, token, unit, output.Load(place, token, unit), first, second);
}

// Thread u of row blockIdx.y of the grid finishes unit u of that token.
template <typename T, typename Output>
__global__ void FinishKernel(const T* y, int outputs, Output output) {
  ptx::LaunchDependents();
  ptx::WaitForEarlierKernels();
  const int unit = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (unit >= output.units()) return;
  const int token = static_cast<int>(blockIdx.y);
  const int2 rows = output.Rows(unit);
  const T* const row = y + static_cast<size_t>(token) * outputs;
  const auto place = output.ForToken(token);
  output.Store(place, token, unit, output.Load(place, token, unit), ToFloat(row[rows.x]), ToFloat(row[rows.y]));
}

Grid GridOf(int units, int units_per_block, int tokens) {
  return {dim3(static_cast<unsigned>(CeilDivide(units, units_per_block)), static_cast<unsigned>(tokens)),
          dim3(kThreads)};
}

}  // namespace

void PlainLinear(const LinearCall& call, cudaStream_t stream) {
  WithElement(call.shape.element, [&](auto element) {
    using T = decltype(element);
    ForInput<T>(call, [&](auto input) {
      ForOutput<T>(call, [&](auto output) {
        Launch("plain_linear", PlainLinearKernel<T, decltype(input), decltype(output)>,
               GridOf(output.units(), kThreads / kWarpSize, call.tokens), stream, static_cast<const T*>(call.weights),
               input, output);
      });
    });
  });
}

void FinishLinear(const LinearCall& call, const void* y, cudaStream_t stream) {
  WithElement(call.shape.element, [&](auto element) {
    using T = decltype(element);
    ForOutput<T>(call, [&](auto output) {
      Launch("finish_linear", FinishKernel<T, decltype(output)>, GridOf(output.units(), kThreads, call.tokens), stream,
             static_cast<const T*>(y), call.shape.outputs, output);
    });
  });
}

}  // namespace embedded::cuda
