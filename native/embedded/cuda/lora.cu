#include "native/embedded/adapter.h"
#include "native/embedded/cuda/device.cuh"
#include "native/embedded/cuda/lora.h"

namespace embedded::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr int kVector = 8;
// Rows of a block: neighbours mostly have the same adapter, whose matrices are then read once for all of them. With few rows each is
// a block's, for more blocks.
constexpr int kManyRows = 8;
constexpr int kFewTokens = 64;

// Rows from `row` on, and before `end`, that have the same slot.
__device__ __forceinline__ int RunOf(const int32_t* slots, int row, int end) {
  int run = 1;
  while (row + run < end && slots[row + run] == slots[row]) ++run;
  return run;
}

// A warp has one row of a module's a.
template <typename T, int kRows>
__global__ void __launch_bounds__(kThreads) ShrinkKernel(LoraCall call) {
  WaitForPredecessor();
  const int blocks_of_module = (call.max_rank + kWarps - 1) / kWarps;
  const int module = static_cast<int>(blockIdx.x) / blocks_of_module;
  const int r = static_cast<int>(blockIdx.x) % blocks_of_module * kWarps + static_cast<int>(threadIdx.x / 32);
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int first = static_cast<int>(blockIdx.y) * kRows;
  const int end = min(first + kRows, call.tokens);
  for (int row = first, run; row < end; row += run) {
    run = RunOf(call.rows.slots, row, end);
    const int slot = call.rows.slots[row];
    if (slot < 0) continue;
    const LoraPair pair = call.rows.adapters[slot][call.first_pair + module];
    if (r >= pair.rank) continue;
    const T* const a = static_cast<const T*>(pair.a) + static_cast<size_t>(r) * call.x_stride;
    const T* const x = static_cast<const T*>(call.x) + static_cast<size_t>(row) * call.x_stride;
    float sums[kRows] = {};
    for (int k = lane * kVector; k < call.x_stride; k += 32 * kVector) {
      float weights[kVector];
      LoadFloats(a + k, weights);
#pragma unroll
      for (int j = 0; j < kRows; ++j) {
        if (j >= run) continue;
        float inputs[kVector];
        LoadFloats(x + static_cast<size_t>(j) * call.x_stride + k, inputs);
#pragma unroll
        for (int i = 0; i < kVector; ++i) sums[j] = __fmaf_rn(weights[i], inputs[i], sums[j]);
      }
    }
#pragma unroll
    for (int j = 0; j < kRows; ++j) {
      if (j >= run) continue;
      const float sum = SumOverWarp(sums[j]);
      if (lane == 0) call.shrunk[(static_cast<size_t>(row + j) * call.modules + module) * call.max_rank + r] = sum;
    }
  }
}

// A thread has one output of a module.
template <typename T, typename Y, int kRows>
__global__ void __launch_bounds__(kThreads) ExpandKernel(LoraCall call) {
  WaitForPredecessor();
  __shared__ float shrunk[kRows * kLargestLoraRank];
  int module = 0, block = static_cast<int>(blockIdx.x);
  const auto blocks_of = [&](int of) { return (call.outputs[of] + kThreads - 1) / kThreads; };
  for (; block >= blocks_of(module); ++module) block -= blocks_of(module);
  const int output = block * kThreads + static_cast<int>(threadIdx.x);
  const int first = static_cast<int>(blockIdx.y) * kRows;
  const int end = min(first + kRows, call.tokens);
  for (int row = first, run; row < end; row += run) {
    run = RunOf(call.rows.slots, row, end);
    const int slot = call.rows.slots[row];
    if (slot < 0) continue;
    const LoraPair pair = call.rows.adapters[slot][call.first_pair + module];
    if (pair.rank == 0) continue;
    __syncthreads();  // the rows before these are done with `shrunk`
    for (int i = static_cast<int>(threadIdx.x); i < run * pair.rank; i += kThreads)
      shrunk[i] = call.shrunk[(static_cast<size_t>(row + i / pair.rank) * call.modules + module) * call.max_rank +
                              i % pair.rank];
    __syncthreads();
    if (output >= call.outputs[module]) continue;
    const T* const b = static_cast<const T*>(pair.b) + static_cast<size_t>(output) * pair.rank;
    float sums[kRows] = {};
    const auto add = [&](int r, float weight) {
#pragma unroll
      for (int j = 0; j < kRows; ++j)
        if (j < run) sums[j] = __fmaf_rn(weight, shrunk[j * pair.rank + r], sums[j]);
    };
    if (pair.rank % kVector == 0) {
      for (int r = 0; r < pair.rank; r += kVector) {
        float weights[kVector];
        LoadFloats(b + r, weights);
#pragma unroll
        for (int i = 0; i < kVector; ++i) add(r + i, weights[i]);
      }
    } else {
      for (int r = 0; r < pair.rank; ++r) add(r, ToFloat(b[r]));
    }
    Y* const y =
        static_cast<Y*>(call.y) + static_cast<size_t>(row) * call.y_stride + call.first_output[module] + output;
#pragma unroll
    for (int j = 0; j < kRows; ++j) {
      if (j >= run) continue;
      Y* const at = y + static_cast<size_t>(j) * call.y_stride;
      *at = FromFloat<Y>(ToFloat(*at) + sums[j]);
    }
  }
}

template <typename T, typename Y, int kRows>
void Run(const LoraCall& call, cudaStream_t stream) {
  const auto rows = static_cast<unsigned>(CeilDivide(call.tokens, kRows));
  const auto columns = static_cast<unsigned>(call.modules * CeilDivide(call.max_rank, kWarps));
  int blocks = 0;
  for (int module = 0; module < call.modules; ++module) blocks += CeilDivide(call.outputs[module], kThreads);
  Launch("LoraShrink", ShrinkKernel<T, kRows>, {dim3(columns, rows), dim3(kThreads)}, stream, call);
  Launch("LoraExpand", ExpandKernel<T, Y, kRows>, {dim3(static_cast<unsigned>(blocks), rows), dim3(kThreads)}, stream,
         call);
}

}  // namespace

void AddLora(const LoraCall& call, cudaStream_t stream) {
  WithElement(call.element, [&](auto element) {
    using T = decltype(element);
    const bool has_few = call.tokens <= kFewTokens;
    if (call.y_has == LoraCall::Y::kElements)
      return has_few ? Run<T, T, 1>(call, stream) : Run<T, T, kManyRows>(call, stream);
    return has_few ? Run<T, float, 1>(call, stream) : Run<T, float, kManyRows>(call, stream);
  });
}

}  // namespace embedded::cuda
