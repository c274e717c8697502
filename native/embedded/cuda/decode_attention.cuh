// The kernel behind decode_attention.h.
//
// A block has four warps. Of each tile of 64 tokens a warp takes 16 and walks alone, with a softmax of its own, over a
// private ring of tiles in shared memory; the block meets only where a sequence and head ends. The products are turned
// round, so that 8 query heads are the narrow side of mma.m16n8k16: scores^T[16 tokens, 8 heads] = K Q^T and
// out^T[head_dim, 8 heads] = V^T P^T. More than 8 heads to a key head are two or more units of work.
#ifndef EMBEDDED_CUDA_DECODE_ATTENTION_CUH_
#define EMBEDDED_CUDA_DECODE_ATTENTION_CUH_

#include <algorithm>

#include "native/embedded/cuda/device.cuh"
#include "native/embedded/cuda/kv_tiles.cuh"
#include "native/embedded/cuda/softmax_merge.cuh"

namespace embedded::cuda {

constexpr int kDecodeWarps = 4;
constexpr int kDecodeThreads = 32 * kDecodeWarps;
constexpr int kTileTokens = kWarpTokens * kDecodeWarps;
constexpr int kUnitHeads = 8;  // query heads of one unit of work
constexpr int kPiecesAtOnce = 8;

// What PlanDecodeAttention finds out for one thread block.
struct DecodeStart {
  int sequence;
  int unit;   // of the sequence
  int tile;   // of the unit
  int tiles;  // that the block takes; 0: none
};

struct DecodeArguments {
  int sequences;
  int units;  // of each sequence: kv_heads * units_per_kv_head
  int units_per_kv_head;
  int group;  // query heads to a key head
  int kv_heads;
  int head_dim;
  int tokens_per_block;  // 2 to the block_shift
  int block_shift;
  int max_blocks;
  int query_stride;
  float scale_log2;  // scale * log2(e): the softmax works with powers of two
  const int32_t* block_table;
  const int32_t* context_lengths;
  const DecodeStart* starts;   // [blocks of the grid]
  const int* tiles_per_block;  // [1]
  int* arrivals;               // [sequences, units]; 0 between launches
  float* partial_sums;         // [blocks of the grid, 2, kUnitHeads, padded head_dim]
  float2* partial_softmax;     // [blocks of the grid, 2, kUnitHeads] (maximum, sum)
};

template <typename Tile, int kStages>
constexpr size_t kDecodeRingBytes = size_t{kDecodeWarps} * kStages * Tile::kBytes;
constexpr size_t DecodeMergeBytes(int padded_dim, int heads) {
  return sizeof(float) * kDecodeWarps * static_cast<size_t>(heads) * (static_cast<size_t>(padded_dim) + 4 + 2);
}

// Thread blocks that a multiprocessor of sm_90 has room for at once, by their shared memory and so many registers as they may take.
template <typename Tile, int kStages>
constexpr int kDecodeBlocks = std::clamp<int>(
    228 * 1024 / (kDecodeRingBytes<Tile, kStages> + DecodeMergeBytes(Tile::kDim, kUnitHeads / 2) + 1024), 1,
    Tile::kDim <= 128 ? 3 : 2);

// Walks over the tiles of one thread block.
struct DecodeCursor {
  int sequence, unit, tile, left;
  int length, tiles;  // of the sequence

  __device__ __forceinline__ void SetSequence(const DecodeArguments& a) {
    length = a.context_lengths[sequence];
    tiles = (length + kTileTokens - 1) / kTileTokens;
  }
  __device__ __forceinline__ bool ends_unit() const { return tile + 1 == tiles || left == 1; }
  __device__ __forceinline__ void Advance(const DecodeArguments& a) {
    if (--left == 0 || ++tile < tiles) return;
    tile = 0;
    if (++unit < a.units) return;
    unit = 0;
    do {
      ++sequence;
      SetSequence(a);
    } while (length == 0);
  }
};

#if __CUDA_ARCH__ >= 800

template <typename Tile, int kStages, typename T = typename Tile::Element>
__global__ void __launch_bounds__(kDecodeThreads, kDecodeBlocks<Tile, kStages>)
    DecodeAttentionKernel(DecodeArguments a, const T* queries, const void* keys, const void* values, T* out) {
  constexpr int kDim = Tile::kDim;
  extern __shared__ __align__(16) unsigned char shared[];
  __shared__ int is_last;
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int g = lane / 4, t = lane % 4;
  unsigned char* ring = shared + static_cast<size_t>(warp) * kStages * Tile::kBytes;
  float* merge_sums = reinterpret_cast<float*>(shared + kDecodeRingBytes<Tile, kStages>);
  const int merge_heads = min(a.group, kUnitHeads);
  constexpr int kMergeRow = kDim + 4;
  float2* merge_softmax = reinterpret_cast<float2*>(merge_sums + kDecodeWarps * merge_heads * kMergeRow);

  WaitForPredecessor();
  for (int s = static_cast<int>(blockIdx.x); s < a.sequences; s += static_cast<int>(gridDim.x)) {
    if (a.context_lengths[s] != 0) continue;
    T* row = out + static_cast<size_t>(s) * a.kv_heads * a.group * a.head_dim;
    for (int i = static_cast<int>(threadIdx.x); i < a.kv_heads * a.group * a.head_dim; i += kDecodeThreads)
      row[i] = FromFloat<T>(0.0f);
  }
  const DecodeStart start = a.starts[blockIdx.x];
  if (start.tiles == 0) return;
  DecodeCursor at{start.sequence, start.unit, start.tile, start.tiles, 0, 0};
  at.SetSequence(a);
  DecodeCursor ahead = at;
  bool ahead_ended = false;

  // Divisions take many instructions.
  const auto kv_head_of = [&](int unit) { return a.units_per_kv_head == 1 ? unit : unit / a.units_per_kv_head; };
  const auto block_of = [&](const DecodeCursor& cursor) {
    const int token = cursor.tile * kTileTokens + warp * kWarpTokens;
    if (token >= cursor.length) return 0;
    return a.block_table[static_cast<size_t>(cursor.sequence) * a.max_blocks + (token >> a.block_shift)];
  };
  // Starts the copy of the warp's 16 tokens of the tile `ahead` points to.
  const auto request = [&](int stage, int block) {
    if (!ahead_ended) {
      const int token = ahead.tile * kTileTokens + warp * kWarpTokens;
      const size_t head = static_cast<size_t>(block) * a.kv_heads + kv_head_of(ahead.unit);
      Tile::Copy(
          ring + stage * Tile::kBytes,
          {keys, values, head, token & (a.tokens_per_block - 1), ahead.length - token, a.tokens_per_block, a.head_dim},
          lane);
      ahead_ended = ahead.left == 1;
      ahead.Advance(a);
    }
    CommitCopies();
  };
#pragma unroll
  for (int stage = 0; stage < kStages; ++stage) request(stage, ahead_ended ? 0 : block_of(ahead));

  uint32_t query[kDim / 16][2];
  float sums[kDim / 16][4];
  float maximum[2], weight_sum[2];  // of heads 2 t and 2 t + 1; weight_sum of this lane's tokens only
  int first_tile = at.tile;         // of the block's piece of the unit
  bool fresh = true;
  int stage = 0;
  while (true) {
    const int kv_head = kv_head_of(at.unit);
    const int first_in_group = (at.unit - kv_head * a.units_per_kv_head) * kUnitHeads;
    const int heads = min(kUnitHeads, a.group - first_in_group);
    if (fresh) {
      fresh = false;
      first_tile = at.tile;
      const T* q = queries + static_cast<size_t>(at.sequence) * a.query_stride +
                   static_cast<size_t>(kv_head * a.group + first_in_group + g) * a.head_dim;
#pragma unroll
      for (int k = 0; k < kDim / 16; ++k)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int d = Tile::QueryDim(k, half, t);
          const uint32_t pair = g < heads && d < a.head_dim ? *reinterpret_cast<const uint32_t*>(q + d) : 0;
          query[k][half] = Tile::StagedQuery(pair);
        }
#pragma unroll
      for (int i = 0; i < kDim / 16; ++i) sums[i][0] = sums[i][1] = sums[i][2] = sums[i][3] = 0;
      maximum[0] = maximum[1] = -INFINITY;
      weight_sum[0] = weight_sum[1] = 0;
    }
    const int next_block = ahead_ended ? 0 : block_of(ahead);  // asked for before it is needed
    WaitForCopies<kStages - 1>();
    __syncwarp();
    const int visible = at.length - (at.tile * kTileTokens + warp * kWarpTokens);
    if (visible > 0) {
      const unsigned char* tile = ring + stage * Tile::kBytes;
      float even[4] = {0, 0, 0, 0}, odd[4] = {0, 0, 0, 0};  // two chains of additions
#pragma unroll
      for (int c = 0; c < kDim / 32; ++c) {
        uint32_t first[4], second[4];
        Tile::Keys(tile, c, lane, first, second);
        MultiplyAdd(even, first, query[2 * c], T{});
        MultiplyAdd(odd, second, query[2 * c + 1], T{});
      }
      const float key_scale[2] = {Tile::KeyScale(tile, g), Tile::KeyScale(tile, g + 8)};
      const float value_scale[2] = {Tile::ValueScale(tile, g, visible), Tile::ValueScale(tile, g + 8, visible)};
      float score[4];
#pragma unroll
      for (int i = 0; i < 4; ++i)
        score[i] = g + (i / 2) * 8 < visible
                       ? (even[i] + odd[i]) * (a.scale_log2 * Tile::kScoreFactor) * key_scale[i / 2]
                       : -INFINITY;
      float weight[4], factor[2];
#pragma unroll
      for (int head = 0; head < 2; ++head) {
        float next = fmaxf(maximum[head], fmaxf(score[head], score[head + 2]));
        next = fmaxf(next, __shfl_xor_sync(0xffffffff, next, 4));
        next = fmaxf(next, __shfl_xor_sync(0xffffffff, next, 8));
        next = fmaxf(next, __shfl_xor_sync(0xffffffff, next, 16));
        factor[head] = exp2f(maximum[head] - next);
        maximum[head] = next;
        weight[head] = exp2f(score[head] - next);
        weight[head + 2] = exp2f(score[head + 2] - next);
        weight_sum[head] = weight_sum[head] * factor[head] + weight[head] + weight[head + 2];
      }
      // Few tiles behind the first have a new maximum.
      if (__any_sync(0xffffffff, factor[0] != 1 || factor[1] != 1)) {
#pragma unroll
        for (int i = 0; i < kDim / 16; ++i)
#pragma unroll
          for (int j = 0; j < 4; ++j) sums[i][j] *= factor[j % 2];
      }
      const uint32_t weights[2] = {Transpose(Pack(weight[0] * value_scale[0], weight[1] * value_scale[0], T{})),
                                   Transpose(Pack(weight[2] * value_scale[1], weight[3] * value_scale[1], T{}))};
#pragma unroll
      for (int c = 0; c < kDim / 32; ++c) {
        uint32_t first[4], second[4];
        Tile::Values(tile, c, lane, first, second);
        MultiplyAdd(sums[2 * c], first, weights, T{});
        MultiplyAdd(sums[2 * c + 1], second, weights, T{});
      }
    }
    __syncwarp();
    request(stage, next_block);
    stage = stage + 1 == kStages ? 0 : stage + 1;

    if (at.ends_unit()) {
      // The four warps' pieces, then those of other blocks.
#pragma unroll
      for (int head = 0; head < 2; ++head) {
        float sum = weight_sum[head];
        sum += __shfl_xor_sync(0xffffffff, sum, 4);
        sum += __shfl_xor_sync(0xffffffff, sum, 8);
        sum += __shfl_xor_sync(0xffffffff, sum, 16);
        if (2 * t + head >= heads) continue;
        float* row = merge_sums + (warp * merge_heads + 2 * t + head) * kMergeRow;
#pragma unroll
        for (int i = 0; i < kDim / 16; ++i) {
          row[Tile::SumDim(i, 0, g)] = sums[i][head] * Tile::kSumFactor;
          row[Tile::SumDim(i, 1, g)] = sums[i][head + 2] * Tile::kSumFactor;
        }
        if (g == 0) merge_softmax[warp * merge_heads + 2 * t + head] = {maximum[head], sum};
      }
      __syncthreads();
      const bool whole = first_tile == 0 && at.tile + 1 == at.tiles;
      const int per_block = *a.tiles_per_block;
      // Numbers of tiles of the whole step: of this block's piece and of its unit.
      const int piece_begin = static_cast<int>(blockIdx.x) * per_block + start.tiles - at.left - (at.tile - first_tile);
      const int unit_begin = piece_begin - first_tile;
      const auto slot_of = [&](int block) { return 2 * block + (block * per_block >= unit_begin ? 0 : 1); };
      T* to = out + static_cast<size_t>(at.sequence) * a.kv_heads * a.group * a.head_dim +
              static_cast<size_t>(kv_head * a.group + first_in_group) * a.head_dim;
      const size_t slot = static_cast<size_t>(slot_of(static_cast<int>(blockIdx.x)));
      for (int i = static_cast<int>(threadIdx.x); i < heads * (kDim / 4); i += kDecodeThreads) {
        const int head = i / (kDim / 4), d = i % (kDim / 4) * 4;
        if (d >= a.head_dim) continue;
        SoftmaxMerge merged;
#pragma unroll
        for (int w = 0; w < kDecodeWarps; ++w) {
          const float2 piece = merge_softmax[w * merge_heads + head];
          if (piece.y > 0 || piece.y != piece.y)  // a warp without a visible token has nothing to say
            merged.Add(piece, *reinterpret_cast<const float4*>(merge_sums + (w * merge_heads + head) * kMergeRow + d));
        }
        if (whole) {
          merged.Store(to + static_cast<size_t>(head) * a.head_dim + d);
        } else {
          reinterpret_cast<float4*>(a.partial_sums)[((slot * kUnitHeads + head) * kDim + d) / 4] = merged.weighted;
          if (d == 0) a.partial_softmax[slot * kUnitHeads + head] = {merged.maximum, merged.sum};
        }
      }
      if (!whole) {
        const int first_block = unit_begin / per_block;
        const int last_block = (unit_begin + at.tiles - 1) / per_block;
        __threadfence();
        __syncthreads();
        int* arrivals = a.arrivals + static_cast<size_t>(at.sequence) * a.units + at.unit;
        if (threadIdx.x == 0) is_last = atomicAdd(arrivals, 1) == last_block - first_block;
        __syncthreads();
        if (is_last) {
          __threadfence();
          if (threadIdx.x == 0) *arrivals = 0;
          for (int i = static_cast<int>(threadIdx.x); i < heads * (kDim / 4); i += kDecodeThreads) {
            const int head = i / (kDim / 4), d = i % (kDim / 4) * 4;
            if (d >= a.head_dim) continue;
            SoftmaxMerge merged;
            // Eight pieces are on their way before the first is added: each is a trip to the L2 cache.
            for (int block = first_block; block <= last_block; block += kPiecesAtOnce) {
              float2 softmax[kPiecesAtOnce];
              float4 piece[kPiecesAtOnce];
#pragma unroll
              for (int i = 0; i < kPiecesAtOnce; ++i) {
                if (block + i > last_block) continue;
                const size_t other = static_cast<size_t>(slot_of(block + i)) * kUnitHeads + head;
                softmax[i] = __ldcg(a.partial_softmax + other);
                piece[i] = __ldcg(reinterpret_cast<const float4*>(a.partial_sums) + (other * kDim + d) / 4);
              }
#pragma unroll
              for (int i = 0; i < kPiecesAtOnce; ++i)
                if (block + i <= last_block) merged.Add(softmax[i], piece[i]);
            }
            merged.Store(to + static_cast<size_t>(head) * a.head_dim + d);
          }
        }
      }
      __syncthreads();  // before the next unit writes to merge_sums
      fresh = true;
    }
    if (at.left == 1) break;
    at.Advance(a);
  }
  WaitForCopies<0>();
}

#else

template <typename Tile, int kStages, typename T = typename Tile::Element>
__global__ void DecodeAttentionKernel(DecodeArguments, const T*, const void*, const void*, T*) {
  __trap();  // CanDecodeAttention says no before sm_80
}

#endif  // __CUDA_ARCH__ >= 800

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_DECODE_ATTENTION_CUH_
