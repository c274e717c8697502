// 1 to 64 tokens against packed weights (packed.h), near memory bandwidth, sm_80 on.
//
// A persistent grid, one block for each multiprocessor. Its warps form groups; the warps of a group share a tile, each taking every
// n-th step of 128 columns, and add up their sums in shared memory, in a fixed order. Each warp keeps a ring of records of
// its own in flight with asynchronous copies, across tiles, so that the loop has no barrier but the one at a tile's end.
//
// x lies in shared memory as a whole. Where it does not fit, the depth is cut into slices (blockIdx.y), and what they give is added by
// FinishPackedKernel.
//
// The weights must have been written before the kernel ahead in the stream was launched: they are read before its end.
#ifndef EMBEDDED_CUDA_PACKED_LINEAR_CUH_
#define EMBEDDED_CUDA_PACKED_LINEAR_CUH_

#include <cstddef>

#include "native/embedded/cuda/any_output.cuh"
#include "native/embedded/cuda/linear_input.cuh"
#include "native/embedded/cuda/packed_codes.cuh"
#include "native/embedded/cuda/ptx.cuh"

namespace embedded::cuda {

constexpr int kFragmentTokens = 8;
constexpr int kStepParts = kStepColumns / 32;
// Records in a warp's ring.
constexpr int PackedStages(const WeightForm& form, int token_fragments) {
  if (form.codes == Codes::kInt4) return token_fragments == 1 ? 8 : 4;
  return token_fragments == 1 ? 4 : 3;
}
// With many tokens a warp needs more registers.
constexpr int PackedWarps(int token_fragments) { return token_fragments == 8 ? 8 : 16; }
// With two buffers of sums the warps of a group need not wait for the one that stores a tile.
constexpr int PackedSumBuffers(int token_fragments) { return token_fragments == 1 ? 2 : 1; }
constexpr int kXPadding = 32;  // elements between rows of x, so that the 8 rows of a fragment meet different banks

struct PackedPlan {
  int warps;
  int split;  // of them, share a tile
  int tokens;
  int depth;
  int steps;  // of a row
  int slices;
  int slice_steps;  // of a slice; the last may have fewer
  int tiles;
  int ring_bytes;  // of all warps
  int sum_buffers;
  size_t row_scales_offset;

  __host__ __device__ int groups() const { return warps / split; }
  __host__ __device__ int x_pitch() const { return slice_steps * kStepColumns + kXPadding; }  // elements
  __host__ __device__ size_t x_offset() const { return static_cast<size_t>(ring_bytes); }
  __host__ __device__ size_t sums_offset() const {  // float [sum_buffers, groups, split, tokens, kTileRows]
    return x_offset() + static_cast<size_t>(tokens) * x_pitch() * kElementBytes;
  }
  __host__ __device__ size_t sums_floats() const { return static_cast<size_t>(warps) * tokens * kTileRows; }
  __host__ __device__ size_t scratch_offset() const {  // float [kScratchFloats]
    return sums_offset() + sum_buffers * sums_floats() * sizeof(float);
  }
  __host__ __device__ size_t bytes() const { return scratch_offset() + kScratchFloats * sizeof(float); }
};

#if __CUDA_ARCH__ >= 800
__device__ inline void GroupBarrier(int group, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(group + 1), "r"(threads) : "memory");
}

// One warp's ring, and how far it has been asked for. Every call commits a group of copies, an empty one past the end.
template <int kRecordBytes>
struct PackedFetcher {
  const unsigned char* records;
  unsigned char* ring;
  int row_steps;
  int tiles;
  int split;
  int first_step;
  int end_step;
  int tile_stride;
  int tile;
  int step = 0;
  const unsigned char* from = nullptr;  // the record at tile and step

  __device__ void Start() {
    step = first_step;
    from = records + (static_cast<size_t>(tile) * row_steps + step) * kRecordBytes;
  }
  __device__ void Fetch(int stage) {
    if (tile < tiles) {
      const int lane = static_cast<int>(threadIdx.x % kWarpSize);
      unsigned char* const to = ring + stage * kRecordBytes;
#pragma unroll
      for (int at = 0; at < kRecordBytes; at += kWarpSize * 16)
        if (at + lane * 16 < kRecordBytes) CopyAsync(to + at + lane * 16, from + at + lane * 16, 1);
      step += split;
      from += split * kRecordBytes;
      if (step >= end_step) {
        tile += tile_stride;
        Start();
      }
    }
    CommitCopies();
  }
};

// {scale, zero} of a row's group; zero is 0 where there is none.
template <Scales kScales>
__device__ float2 GroupScale(const unsigned char* scales, int unit, int group, int row) {
  constexpr WeightForm kForm{Codes::kInt4, kScales};
  const __half* const at = reinterpret_cast<const __half*>(scales) +
                           ((unit * kForm.groups_in_step() + group) * 2 + row) * (kForm.has_zeros() ? 2 : 1);
  if constexpr (kForm.has_zeros()) return __half22float2(*reinterpret_cast<const __half2*>(at));
  return {__half2float(*at), 0};
}
#endif

// Sums are written as they are to `partial` [slices, tokens, units] where there is more than one slice.
template <typename T, Codes kCodes, Scales kScales, int kTokenFragments>
__global__ void __launch_bounds__(PackedWarps(kTokenFragments) * kWarpSize, 1)
    PackedLinearKernel(const unsigned char* weights, StageElements<T> elements, StageNormalized<T> normalized,
                       AnyOutput<T> output, float2* partial, PackedPlan plan) {
#if __CUDA_ARCH__ >= 800
  using Operand = CodeOperand<T, kCodes>;
  constexpr WeightForm kForm{kCodes, kScales};
  constexpr int kGroupParts = kForm.groups_in_step() >= 4 ? 1 : kStepParts;  // parts of a step that share a scale
  constexpr bool kGrouped = kForm.groups_in_step() != 0;
  constexpr int kRecordBytes = kForm.record_bytes();
  constexpr int kStages = PackedStages(kForm, kTokenFragments);
  // Products that do not wait for each other: one after the other a product takes several times as long.
  constexpr bool kHalves = kForm.has_halves();
  constexpr int kChains = kHalves ? 2 : kTokenFragments >= kStepParts ? 1 : kStepParts / kTokenFragments;
  constexpr int kSums = kGrouped ? 1 : kChains;
  extern __shared__ __align__(128) unsigned char shared[];
  ptx::LaunchDependents();
  const int warp = static_cast<int>(threadIdx.x / kWarpSize);
  const int lane = static_cast<int>(threadIdx.x % kWarpSize);
  const int g = lane / 4;
  const int t = lane % 4;
  const int group = warp / plan.split;
  const int in_group = static_cast<int>(threadIdx.x) - group * plan.split * kWarpSize;
  const int group_threads = plan.split * kWarpSize;
  T* const x = reinterpret_cast<T*>(shared + plan.x_offset());
  float* group_sums = reinterpret_cast<float*>(shared + plan.sums_offset()) +
                      static_cast<size_t>(group) * plan.split * plan.tokens * kTileRows;

  const int slice_start = static_cast<int>(blockIdx.y) * plan.slice_steps;
  const int end_step = min(slice_start + plan.slice_steps, plan.steps);
  const int first_step = slice_start + warp % plan.split;
  // Tiles go to blocks before they go to groups, so that multiprocessors differ by one tile at most.
  const int first_tile = group * static_cast<int>(gridDim.x) + static_cast<int>(blockIdx.x);
  const int tile_stride = plan.groups() * static_cast<int>(gridDim.x);
  unsigned char* const ring = shared + warp * kStages * kRecordBytes;
  PackedFetcher<kRecordBytes> fetcher{weights,    ring,        plan.steps,
                                      plan.tiles, plan.split,  first_step,
                                      end_step,   tile_stride, first_step < end_step ? first_tile : plan.tiles};
  fetcher.Start();
#pragma unroll
  for (int stage = 0; stage < kStages - 1; ++stage) fetcher.Fetch(stage);

  if (normalized.hidden != nullptr) {
    auto pieces = normalized.Prepare();
    ptx::WaitForEarlierKernels();
    normalized.Load(&pieces);
    normalized.Stage(pieces, x, plan.steps * kStepColumns, reinterpret_cast<float*>(shared + plan.scratch_offset()));
  } else {
    ptx::WaitForEarlierKernels();
    const int row_loads = (end_step - slice_start) * kStepColumns / kElementsPerLoad;
    for (int token = 0; token < plan.tokens; ++token)
      for (int i = static_cast<int>(threadIdx.x); i < row_loads; i += static_cast<int>(blockDim.x)) {
        const int k = slice_start * kStepColumns + i * kElementsPerLoad;
        const uint4 values =
            k < plan.depth
                ? __ldcg(reinterpret_cast<const uint4*>(elements.x + static_cast<size_t>(token) * plan.depth + k))
                : make_uint4(0, 0, 0, 0);
        *reinterpret_cast<uint4*>(x + token * plan.x_pitch() + i * kElementsPerLoad) = values;
      }
  }
  __syncthreads();

  // What this thread finishes first of each tile.
  const int my_token = in_group / kTileUnits;
  const int my_unit = in_group % kTileUnits;
  const bool mine = my_token < plan.tokens;
  const auto my_place = output.ForToken(min(my_token, plan.tokens - 1));
  const float* const row_scales = reinterpret_cast<const float*>(weights + plan.row_scales_offset);
  const auto row_scale = [&](int tile, int unit, int row) {
    return row_scales[tile * kTileRows + row * kTileUnits + unit] * Operand::kScale;
  };

  const T* x_of_lane[kTokenFragments];
#pragma unroll
  for (int n = 0; n < kTokenFragments; ++n)  // columns past the tokens are computed and dropped
    x_of_lane[n] = x + min(n * kFragmentTokens + g, plan.tokens - 1) * plan.x_pitch() + kForm.column(t, 0);

  int stage = 0;
  int buffer = 0;
  for (int tile = first_tile; tile < plan.tiles; tile += tile_stride) {
    const int unit = tile * kTileUnits + my_unit;
    const bool stores = mine && unit < output.units();
    float2 operands{}, scales{};
    if (stores && plan.slices == 1) {
      operands = output.Load(my_place, my_token, unit);
      scales = {row_scale(tile, my_unit, 0), row_scale(tile, my_unit, 1)};
    }
    float sums[kSums][kTokenFragments][4] = {};
    for (int step = first_step; step < end_step; step += plan.split) {
      WaitForCopies<kStages - 2>();
      __syncwarp();  // every lane's part is there, and every lane has read the stage before, which is filled next
      fetcher.Fetch(stage == 0 ? kStages - 1 : stage - 1);
      const unsigned char* const record = ring + stage * kRecordBytes;
      uint4 words[Operand::kLoads];
#pragma unroll
      for (int j = 0; j < Operand::kLoads; ++j)
        words[j] = *reinterpret_cast<const uint4*>(record + j * kWarpSize * 16 + lane * 16);
      const int x_at = (step - slice_start) * kStepColumns;
#pragma unroll
      for (int from = 0; from < kStepParts; from += kGroupParts) {
        float products[kChains][kTokenFragments][4] = {};
        float ones[kChains][kTokenFragments][4] = {};
#pragma unroll
        for (int part = from; part < from + kGroupParts; ++part) {
          const int chain = kHalves ? 0 : part % kChains;
          const RowPair rows = Operand::Expand(words, part);
#pragma unroll
          for (int n = 0; n < kTokenFragments; ++n) {
            const T* const at = x_of_lane[n] + x_at + part * 32;
            uint4 raw;
            if constexpr (kHalves) {
              const uint2 first = *reinterpret_cast<const uint2*>(at);
              const uint2 second = *reinterpret_cast<const uint2*>(at + 16);
              raw = {first.x, first.y, second.x, second.y};
            } else {
              raw = *reinterpret_cast<const uint4*>(at);
            }
            const uint4 b = {StagedPair<T, kCodes>(raw.x), StagedPair<T, kCodes>(raw.y), StagedPair<T, kCodes>(raw.z),
                             StagedPair<T, kCodes>(raw.w)};
            const auto multiply = [&](float(&into)[4], float(&second_into)[4], const RowPair& a) {
              MultiplyAdd(into, {a.first[0], a.second[0], a.first[1], a.second[1]}, {b.x, b.y}, T{});
              MultiplyAdd(second_into, {a.first[2], a.second[2], a.first[3], a.second[3]}, {b.z, b.w}, T{});
            };
            constexpr int kSecond = kHalves ? 1 : 0;
            if constexpr (kGrouped)
              multiply(products[chain][n], products[chain + kSecond][n], rows);
            else
              multiply(sums[chain][n], sums[chain][n], rows);
            if constexpr (kForm.has_zeros()) {  // every row gives the sum of x, which a zero is multiplied by
              constexpr uint32_t kOnes = Operand::kOnes;
              multiply(ones[chain][n], ones[chain + kSecond][n],
                       RowPair{{kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes, kOnes, kOnes}});
            }
          }
        }
        if constexpr (kGrouped) {
          const unsigned char* const scales_at = record + kForm.code_bytes();
          // A group of one part or half has used one chain.
          constexpr int kUsed = kHalves ? 1 : kGroupParts < kChains ? kGroupParts : kChains;
#pragma unroll
          for (int half = 0; half < (kHalves ? 2 : 1); ++half) {
            const int group = kHalves ? from * 2 + half : from / kGroupParts;
            const int first_chain = kHalves ? half : from % kChains;
            const float2 first = GroupScale<kScales>(scales_at, g, group, 0);
            const float2 second = GroupScale<kScales>(scales_at, g, group, 1);
#pragma unroll
            for (int n = 0; n < kTokenFragments; ++n)
#pragma unroll
              for (int i = 0; i < 4; ++i) {
                const float2 scale = i < 2 ? first : second;
                float product = products[first_chain][n][i];
                float one = ones[first_chain][n][i % 2];
#pragma unroll
                for (int chain = 1; chain < kUsed; ++chain) {
                  product += products[(first_chain + chain) % kChains][n][i];
                  one += ones[(first_chain + chain) % kChains][n][i % 2];
                }
                sums[0][n][i] = fmaf(scale.x, product, sums[0][n][i]);
                if constexpr (kForm.has_zeros()) sums[0][n][i] = fmaf(scale.y, one, sums[0][n][i]);
              }
          }
        }
      }
      if (++stage == kStages) stage = 0;
    }

    float* const warp_sums = group_sums + static_cast<size_t>(warp % plan.split) * plan.tokens * kTileRows;
#pragma unroll
    for (int n = 0; n < kTokenFragments; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int token = n * kFragmentTokens + t * 2 + i % 2;
        float sum = 0;
#pragma unroll
        for (int chain = 0; chain < kSums; ++chain) {
          sum += sums[chain][n][i];
        }
        if (token < plan.tokens) warp_sums[token * kTileRows + i / 2 * kTileUnits + g] = sum;
      }
    GroupBarrier(group, group_threads);
    const auto finish = [&](int token, int unit_of_tile, auto store) {
      const float* from = group_sums + token * kTileRows + unit_of_tile;
      float first = 0;
      float second = 0;
#pragma unroll 4
      for (int i = 0; i < plan.split; ++i, from += plan.tokens * kTileRows) {
        first += from[0];
        second += from[kTileUnits];
      }
      store(first, second);
    };
    if (plan.slices > 1) {
      for (int i = in_group; i < plan.tokens * kTileUnits; i += group_threads) {
        const int token = i / kTileUnits;
        const int at = tile * kTileUnits + i % kTileUnits;
        if (at >= output.units()) continue;
        finish(token, i % kTileUnits, [&](float first, float second) {
          const size_t row = static_cast<size_t>(blockIdx.y) * plan.tokens + token;
          partial[row * output.units() + at] = {first * row_scale(tile, i % kTileUnits, 0),
                                                second * row_scale(tile, i % kTileUnits, 1)};
        });
      }
    } else {
      if (stores)
        finish(my_token, my_unit, [&](float first, float second) {
          output.Store(my_place, my_token, unit, operands, first * scales.x, second * scales.y);
        });
      for (int i = in_group + group_threads; i < plan.tokens * kTileUnits; i += group_threads) {
        const int token = i / kTileUnits;
        const int at = tile * kTileUnits + i % kTileUnits;
        if (at >= output.units()) continue;
        finish(token, i % kTileUnits, [&](float first, float second) {
          const auto place = output.ForToken(token);
          output.Store(place, token, at, output.Load(place, token, at), first * row_scale(tile, i % kTileUnits, 0),
                       second * row_scale(tile, i % kTileUnits, 1));
        });
      }
    }
    // A warp that is a tile ahead writes the other buffer, and cannot get two ahead of the barrier above.
    if constexpr (PackedSumBuffers(kTokenFragments) == 2) {
      group_sums += buffer == 0 ? static_cast<std::ptrdiff_t>(plan.sums_floats())
                                : -static_cast<std::ptrdiff_t>(plan.sums_floats());
      buffer ^= 1;
    } else {
      GroupBarrier(group, group_threads);
    }
  }
  WaitForCopies<0>();
#else
  __trap();
#endif
}

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_PACKED_LINEAR_CUH_
