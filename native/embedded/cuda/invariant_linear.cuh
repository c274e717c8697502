// The kernel behind invariant_linear.h.
//
// A block computes a tile: 16 rows of w (8 units, first rows of the pairs at 0 to 7, second rows at 8 to 15) times a number, against
// 8 tokens times a number. The products are mma.m16n8k16 with the weights as A. A stage of the ring in shared memory holds 32 columns of
// the tile's rows and tokens, or of 8 chains each.
//
// With few tokens the 8 warps are the 8 chains, for w is read from memory once and every multiprocessor must have a part in that. With
// many tokens the warps share the tile, and each walks through one chain after the other.
#ifndef EMBEDDED_CUDA_INVARIANT_LINEAR_CUH_
#define EMBEDDED_CUDA_INVARIANT_LINEAR_CUH_

#include "native/embedded/cuda/any_output.cuh"
#include "native/embedded/cuda/linear_input.cuh"
#include "native/embedded/cuda/mma.cuh"
#include "native/embedded/cuda/ptx.cuh"

namespace embedded::cuda {

constexpr int kChains = 8;
constexpr int kSliceColumns = 32;  // that a chain takes at a time
constexpr int kSliceBytes = kSliceColumns * static_cast<int>(kElementBytes);
constexpr int kChainPeriod = kChains * kSliceColumns;  // columns from a chain's slice to its next one
constexpr int kLoadsOfSlice = kSliceColumns / kElementsPerLoad;

// How the 8 warps of a block share the work, and how deep its ring is.
template <int kRowFragments_, int kTokenFragments_, int kRowWarps_, int kTokenWarps_, int kChainWarps_, int kStages_>
struct InvariantShape {
  static constexpr int kRowFragments = kRowFragments_;      // of a warp, 16 rows each
  static constexpr int kTokenFragments = kTokenFragments_;  // of a warp, 8 tokens each
  static constexpr int kRowWarps = kRowWarps_;
  static constexpr int kTokenWarps = kTokenWarps_;
  static constexpr int kChainWarps = kChainWarps_;  // all chains or 1
  static constexpr int kStages = kStages_;

  static constexpr int kThreads = kRowWarps * kTokenWarps * kChainWarps * 32;
  static constexpr int kTileRows = 16 * kRowFragments * kRowWarps;
  static constexpr int kTileUnits = kTileRows / 2;
  static constexpr int kTileTokens = 8 * kTokenFragments * kTokenWarps;
  static constexpr int kStageRows = kTileRows + kTileTokens;  // of w, then of x
  static constexpr int kStageBytes = kChainWarps * kStageRows * kSliceBytes;
  static constexpr int kSumPitch = kTileRows + 4;  // floats: the lanes of a warp write to different banks
  static constexpr int kSumBytes = kChains * kTileTokens * kSumPitch * static_cast<int>(sizeof(float));
  static constexpr size_t kRingBytes = size_t{kStages} * kStageBytes;
  // The chains' sums take the ring's place.
  static constexpr size_t kSharedBytes = kChainWarps > 1 && kSumBytes > static_cast<int>(kRingBytes) ? size_t{kSumBytes}
                                                                                                     : kRingBytes;

  static_assert(kThreads == 256 && (kChainWarps == kChains || kChainWarps == 1));
};

// Walks through the slices of columns: of all chains at once, or of one chain after the other.
template <int kChainWarps>
struct SliceCursor {
  int depth;
  int chain = 0;
  int column = 0;  // where the slice of `chain` begins
  bool ends_chain = false;

  __device__ explicit SliceCursor(int depth) : depth(depth) { ends_chain = kChainWarps == 1 && kChainPeriod >= depth; }
  __device__ void Advance() {
    column += kChainPeriod;
    if (kChainWarps == 1 && column >= depth) column = ++chain * kSliceColumns;
    ends_chain = kChainWarps == 1 && column + kChainPeriod >= depth;
  }
  __host__ __device__ static int Steps(int depth) {
    const int columns = kChainWarps == 1 ? kSliceColumns : kChainPeriod;
    return (depth + columns - 1) / columns;
  }
};

template <typename T, typename Shape>
__global__ void __launch_bounds__(Shape::kThreads, 1)
    InvariantLinearKernel(const T* weights, const T* x, int depth, int tokens, AnyOutput<T> output) {
#if __CUDA_ARCH__ >= 800
  constexpr int kRowFragments = Shape::kRowFragments, kTokenFragments = Shape::kTokenFragments;
  constexpr bool kOneChain = Shape::kChainWarps == 1;
  extern __shared__ __align__(128) unsigned char shared[];
  __shared__ int row_of[Shape::kTileRows];  // of w
  ptx::LaunchDependents();
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int g = lane / 4, t = lane % 4;
  const int first_token = static_cast<int>(blockIdx.x) * Shape::kTileTokens;
  const int first_unit = static_cast<int>(blockIdx.y) * Shape::kTileUnits;
  if (const int i = static_cast<int>(threadIdx.x); i < Shape::kTileRows) {
    const int unit = min(first_unit + i / 16 * 8 + i % 8, output.units() - 1);
    const int2 rows = output.Rows(unit);
    row_of[i] = i % 16 < 8 ? rows.x : rows.y;
  }
  __syncthreads();
  ptx::WaitForEarlierKernels();

  // A lane of a chain's slice is where no two of 8 lanes that read or write together meet a bank: hence the exclusive or.
  const auto slice_row = [&](int stage, int chain_slot, int row) {
    return shared + stage * Shape::kStageBytes +
           (chain_slot * Shape::kStageRows + (row ^ (chain_slot & 1))) * kSliceBytes;
  };
  SliceCursor<Shape::kChainWarps> ahead(depth);
  const int steps = SliceCursor<Shape::kChainWarps>::Steps(depth);
  const auto fetch = [&](int step) {
    if (step < steps) {
      constexpr int kLoadsOfRow = Shape::kChainWarps * kLoadsOfSlice;
      constexpr int kRowsAtOnce = Shape::kThreads / kLoadsOfRow;
      static_assert(Shape::kTileRows % kRowsAtOnce == 0 && Shape::kTileTokens % kRowsAtOnce == 0);
      const int part = static_cast<int>(threadIdx.x) % kLoadsOfRow;
      const int column = ahead.column + part * kElementsPerLoad;
#pragma unroll
      for (int first = 0; first < Shape::kStageRows; first += kRowsAtOnce) {
        const int row = first + static_cast<int>(threadIdx.x) / kLoadsOfRow;
        const int token = first_token + row - Shape::kTileRows;
        const bool of_weights = first < Shape::kTileRows;
        const bool valid = column < depth && (of_weights || token < tokens);
        const T* const from = of_weights ? weights + static_cast<size_t>(row_of[row]) * depth
                                         : x + static_cast<size_t>(valid ? token : 0) * depth;
        CopyAsync(slice_row(step % Shape::kStages, part / kLoadsOfSlice, row) + part % kLoadsOfSlice * 16,
                  from + (valid ? column : 0), valid);
      }
      ahead.Advance();
    }
    CommitCopies();
  };
#pragma unroll
  for (int step = 0; step < Shape::kStages - 1; ++step) fetch(step);

  const int chain_slot = kOneChain ? 0 : warp;
  const int warp_row = kOneChain ? warp / Shape::kTokenWarps * kRowFragments * 16 : 0;
  const int warp_token = kOneChain ? warp % Shape::kTokenWarps * kTokenFragments * 8 : 0;
  float sums[kRowFragments][kTokenFragments][4] = {};  // of the chain
  float totals[kOneChain ? kRowFragments : 1][kOneChain ? kTokenFragments : 1][4] = {};
  SliceCursor<Shape::kChainWarps> at(depth);
  for (int step = 0; step < steps; ++step, at.Advance()) {
    WaitForCopies<Shape::kStages - 2>();
    __syncthreads();  // the stage is there for all, and all have read the one before, which is filled next
    fetch(step + Shape::kStages - 1);
    const int stage = step % Shape::kStages;
    // The order of columns inside a slice is permuted alike in both: a lane's fragments are what lies together.
    uint4 b[kTokenFragments];
#pragma unroll
    for (int n = 0; n < kTokenFragments; ++n)
      b[n] = *reinterpret_cast<const uint4*>(slice_row(stage, chain_slot, Shape::kTileRows + warp_token + n * 8 + g) +
                                             t * 16);
#pragma unroll
    for (int j = 0; j < kRowFragments; ++j) {
      const int row = warp_row + j * 16 + g;
      const uint4 first = *reinterpret_cast<const uint4*>(slice_row(stage, chain_slot, row) + t * 16);
      const uint4 second = *reinterpret_cast<const uint4*>(slice_row(stage, chain_slot, row + 8) + t * 16);
#pragma unroll
      for (int n = 0; n < kTokenFragments; ++n) {
        MultiplyAdd(sums[j][n], {first.x, second.x, first.y, second.y}, {b[n].x, b[n].y}, T{});
        MultiplyAdd(sums[j][n], {first.z, second.z, first.w, second.w}, {b[n].z, b[n].w}, T{});
      }
    }
    if constexpr (kOneChain) {
      if (!at.ends_chain) continue;
#pragma unroll
      for (int j = 0; j < kRowFragments; ++j)
#pragma unroll
        for (int n = 0; n < kTokenFragments; ++n)
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            totals[j][n][i] += sums[j][n][i];
            sums[j][n][i] = 0;
          }
    }
  }
  WaitForCopies<0>();

  const auto store = [&](int tile_token, int tile_unit, float first, float second) {
    const int token = first_token + tile_token, unit = first_unit + tile_unit;
    if (token >= tokens || unit >= output.units()) return;
    const auto place = output.ForToken(token);
    output.Store(place, token, unit, output.Load(place, token, unit), first, second);
  };
  if constexpr (kOneChain) {
#pragma unroll
    for (int n = 0; n < kTokenFragments; ++n)
#pragma unroll
      for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int j = 0; j < kRowFragments; ++j)
          store(warp_token + n * 8 + t * 2 + i, (warp_row / 16 + j) * 8 + g, totals[j][n][i], totals[j][n][i + 2]);
  } else {
    float* const chain_sums = reinterpret_cast<float*>(shared);  // [chains, tokens, kSumPitch]
    __syncthreads();                                             // all have read the ring
#pragma unroll
    for (int j = 0; j < kRowFragments; ++j)
#pragma unroll
      for (int n = 0; n < kTokenFragments; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i)
          chain_sums[(warp * Shape::kTileTokens + n * 8 + t * 2 + i % 2) * Shape::kSumPitch + j * 16 + i / 2 * 8 + g] =
              sums[j][n][i];
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < Shape::kTileTokens * Shape::kTileUnits; i += Shape::kThreads) {
      const int token = i / Shape::kTileUnits, unit = i % Shape::kTileUnits;
      const float* from = chain_sums + token * Shape::kSumPitch + unit / 8 * 16 + unit % 8;
      float first = 0, second = 0;
#pragma unroll
      for (int chain = 0; chain < kChains; ++chain, from += Shape::kTileTokens * Shape::kSumPitch) {
        first += from[0];
        second += from[8];
      }
      store(token, unit, first, second);
    }
  }
#else
  __trap();  // CanInvariantLinear says no before sm_80
#endif
}

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_INVARIANT_LINEAR_CUH_
