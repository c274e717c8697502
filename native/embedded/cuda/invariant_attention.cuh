// The kernel behind invariant_attention.h. The products are those of decode_attention.cuh, turned round: 8 columns are the narrow side of
// mma.m16n8k16, scores^T[16 tokens, 8 columns] = K Q^T and out^T[head_dim, 8 columns] = V^T P^T. A column is a query head of a row, and
// what is computed for it does not depend on the columns beside it: a token that it does not see has the weight 0.
#ifndef EMBEDDED_CUDA_INVARIANT_ATTENTION_CUH_
#define EMBEDDED_CUDA_INVARIANT_ATTENTION_CUH_

#include "native/embedded/cuda/device.cuh"
#include "native/embedded/cuda/kv_tiles.cuh"
#include "native/embedded/cuda/softmax_merge.cuh"

namespace embedded::cuda {

constexpr int kAttentionWarps = 4;
constexpr int kAttentionThreads = 32 * kAttentionWarps;
constexpr int kBlockTileTokens = kWarpTokens * kAttentionWarps;
constexpr int kFragmentColumns = 8;
constexpr int kMostPieces = 16;
constexpr int kLeastPieceTokens = 512;

// Of each piece of the context of a row at `position`.
__host__ __device__ constexpr int PieceTokens(int position) {
  int tokens = kLeastPieceTokens;
  while (tokens <= position / kMostPieces) tokens *= 2;
  return tokens;
}

struct InvariantAttentionArguments {
  int rows;
  int rows_of_block;
  int heads_of_unit;      // query heads of one key head that a block computes
  int units_per_kv_head;  // blocks for them all
  int group;              // query heads to a key head
  int kv_heads;
  int head_dim;
  int tokens_per_block;
  int max_blocks;
  int query_stride;
  int window;        // tokens that a row sees; the largest int: all
  float scale_log2;  // scale * log2(e): the softmax works with powers of two
  const int32_t* positions;
  const int32_t* sequence;
  const int32_t* block_table;
  // Of blocks that share a row and unit: by block of the grid's x and y.
  int* arrivals;            // 0 between launches
  float* partial_sums;      // [kMostPieces, kFragmentColumns, kDim]
  float2* partial_softmax;  // [kMostPieces, kFragmentColumns] (maximum, sum)
};

// The parts of the kernel's shared memory.
template <typename Tile, int kFragments, int kStages>
struct InvariantAttentionLayout {
  static constexpr int kDim = Tile::kDim;
  static constexpr int kColumns = kFragments * kFragmentColumns;
  static constexpr int kRow = kDim + 8;  // elements; 16 bytes of padding keep the rows of a matrix in different banks
  static constexpr int kMergeRow = kDim + 4;  // floats
  static constexpr size_t kRingBytes = size_t{kAttentionWarps} * kStages * Tile::kBytes;
  static constexpr size_t kMergeBytes =
      size_t{kAttentionWarps} * kColumns * (kMergeRow * sizeof(float) + sizeof(float2));
  // The warps' results take the place of the ring, once it is empty.
  static constexpr size_t kQueries = kRingBytes > kMergeBytes ? kRingBytes : kMergeBytes;
  static constexpr size_t kTotals = kQueries + size_t{2} * kColumns * kRow;
  static constexpr size_t kTotalSoftmax = kTotals + sizeof(float) * kColumns * kDim;
  static constexpr size_t kBytes = kTotalSoftmax + 2 * sizeof(float2) * kColumns;
};

#if __CUDA_ARCH__ >= 800

// What some rows of one sequence are to a block: `rows` rows from `row` on, the first one at `position`.
struct RowRun {
  int row, rows, position, sequence;

  __device__ RowRun(const InvariantAttentionArguments& a, int row, int end) : row(row), rows(1) {
    position = a.positions[row];
    sequence = a.sequence == nullptr || position < 0 ? row : a.sequence[row];
    if (position < 0 || a.sequence == nullptr) return;
    while (row + rows < end && a.positions[row + rows] == position + rows && a.sequence[row + rows] == sequence &&
           PieceTokens(position + rows) == PieceTokens(position))
      ++rows;
  }
};

__device__ __forceinline__ bool HasSome(float weight_sum) { return weight_sum > 0 || weight_sum != weight_sum; }

template <typename Tile, int kFragments, int kStages>
class RowRunAttention {
  using T = typename Tile::Element;
  using Layout = InvariantAttentionLayout<Tile, kFragments, kStages>;
  static constexpr int kDim = Tile::kDim, kColumns = Layout::kColumns, kRow = Layout::kRow;

 public:
  __device__ RowRunAttention(const InvariantAttentionArguments& a, unsigned char* shared) : a_(a), shared_(shared) {
    unit_ = static_cast<int>(blockIdx.y);
    kv_head_ = unit_ / a.units_per_kv_head;
    first_head_ = kv_head_ * a.group + unit_ % a.units_per_kv_head * a.heads_of_unit;
    heads_ = min(a.heads_of_unit, (kv_head_ + 1) * a.group - first_head_);
  }

  __device__ void Run(const RowRun& run, const T* queries, const void* keys, const void* values, T* out) {
    const int low = max(0, run.position + 1 - a_.window), high = run.position + run.rows;  // tokens that any row sees
    const int piece_tokens = PieceTokens(run.position);
    const int first_piece = low / piece_tokens, last_piece = (high - 1) / piece_tokens;
    const int pieces = last_piece - first_piece + 1;
    LoadQueries(run, queries);
    for (int piece = first_piece + static_cast<int>(blockIdx.z); piece <= last_piece;
         piece += static_cast<int>(gridDim.z)) {
      Walk(run, keys, values, max(low, piece * piece_tokens), min(high, (piece + 1) * piece_tokens));
      Merge(run, out, piece - first_piece, pieces);
    }
    if (gridDim.z > 1 && pieces > 1 && static_cast<int>(blockIdx.z) < pieces) MergePieces(run, out, pieces);
  }

 private:
  __device__ static int warp() { return static_cast<int>(threadIdx.x) / 32; }
  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }
  __device__ T* shared_queries() const { return reinterpret_cast<T*>(shared_ + Layout::kQueries); }
  __device__ float* merge_sums() const { return reinterpret_cast<float*>(shared_); }  // [warps, columns, kMergeRow]
  __device__ float2* merge_softmax() const {                                          // [warps, columns]
    return reinterpret_cast<float2*>(merge_sums() + kAttentionWarps * kColumns * Layout::kMergeRow);
  }

  // Whether a column is one of the run's.
  __device__ bool Has(const RowRun& run, int column) const {
    return column / a_.heads_of_unit < run.rows && column % a_.heads_of_unit < heads_;
  }
  // Where a column's queries or output begin, in rows of so many elements.
  __device__ size_t At(const RowRun& run, int column, int stride) const {
    return static_cast<size_t>(run.row + column / a_.heads_of_unit) * static_cast<size_t>(stride) +
           static_cast<size_t>(first_head_ + column % a_.heads_of_unit) * a_.head_dim;
  }

  __device__ void LoadQueries(const RowRun& run, const T* queries) {
    __syncthreads();  // the run before has read its own
    for (int i = static_cast<int>(threadIdx.x); i < kColumns * (kDim / 2); i += kAttentionThreads) {
      const int column = i / (kDim / 2), place = i % (kDim / 2) * 2;
      const int d = Tile::QueryDim(place / 16, place / 8 % 2, place / 2 % 4);
      uint32_t pair = 0;
      if (d < a_.head_dim && Has(run, column))
        pair = *reinterpret_cast<const uint32_t*>(queries + At(run, column, a_.query_stride) + d);
      *reinterpret_cast<uint32_t*>(shared_queries() + column * kRow + place) = Tile::StagedQuery(pair);
    }
  }

  // The tokens from `begin` to `end`: leaves each warp's result in merge_sums and merge_softmax.
  __device__ void Walk(const RowRun& run, const void* keys, const void* values, int begin, int end) {
    const int g = lane() / 4, t = lane() % 4;
    unsigned char* const ring = shared_ + warp() * kStages * Tile::kBytes;
    const int32_t* const table = a_.block_table + static_cast<size_t>(run.sequence) * a_.max_blocks;
    const int first = begin / kBlockTileTokens * kBlockTileTokens + warp() * kWarpTokens;
    const auto request = [&](int stage, int token) {
      if (token < end) {
        const size_t head = static_cast<size_t>(table[token / a_.tokens_per_block]) * a_.kv_heads + kv_head_;
        Tile::Copy(ring + stage * Tile::kBytes,
                   {keys, values, head, token % a_.tokens_per_block, end - token, a_.tokens_per_block, a_.head_dim},
                   lane());
      }
      CommitCopies();
    };
    int limit[kFragments][2];  // tokens before it are seen, by fragment, of columns 2 t and 2 t + 1
#pragma unroll
    for (int n = 0; n < kFragments; ++n)
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const int row = (n * kFragmentColumns + 2 * t + j) / a_.heads_of_unit;
        limit[n][j] = row < run.rows ? run.position + row + 1 : 0;
      }
    float sums[kFragments][kDim / 16][4] = {};
    float maximum[kFragments][2], weight_sum[kFragments][2] = {};  // weight_sum of this lane's tokens only
#pragma unroll
    for (int n = 0; n < kFragments; ++n) maximum[n][0] = maximum[n][1] = -INFINITY;

    __syncthreads();  // the queries are there, and the merge before has read what lies where the ring does
#pragma unroll
    for (int stage = 0; stage < kStages; ++stage) request(stage, first + stage * kBlockTileTokens);
    int stage = 0;
    for (int token = first; token < end; token += kBlockTileTokens) {
      WaitForCopies<kStages - 1>();
      __syncwarp();
      if (token + kWarpTokens > begin)
        Multiply(ring + stage * Tile::kBytes, token, end, limit, sums, maximum, weight_sum);
      __syncwarp();
      request(stage, token + kStages * kBlockTileTokens);
      stage = stage + 1 == kStages ? 0 : stage + 1;
    }
    WaitForCopies<0>();
    __syncthreads();  // nobody needs the ring any more
#pragma unroll
    for (int n = 0; n < kFragments; ++n)
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const int column = warp() * kColumns + n * kFragmentColumns + 2 * t + j;
        float sum = weight_sum[n][j];
        sum += __shfl_xor_sync(0xffffffff, sum, 4);
        sum += __shfl_xor_sync(0xffffffff, sum, 8);
        sum += __shfl_xor_sync(0xffffffff, sum, 16);
        float* const to = merge_sums() + column * Layout::kMergeRow;
#pragma unroll
        for (int i = 0; i < kDim / 16; ++i) {
          to[Tile::SumDim(i, 0, g)] = sums[n][i][j] * Tile::kSumFactor;
          to[Tile::SumDim(i, 1, g)] = sums[n][i][j + 2] * Tile::kSumFactor;
        }
        if (g == 0) merge_softmax()[column] = {maximum[n][j], sum};
      }
    __syncthreads();
  }

  // One warp's 16 tokens from `token` on, of which those before `end` are in the tile.
  __device__ __forceinline__ void Multiply(const unsigned char* tile, int token, int end,
                                           const int (&limit)[kFragments][2], float (&sums)[kFragments][kDim / 16][4],
                                           float (&maximum)[kFragments][2], float (&weight_sum)[kFragments][2]) const {
    const int g = lane() / 4;
    float even[kFragments][4] = {}, odd[kFragments][4] = {};  // two chains of additions
    const T* const query_row = shared_queries() + lane() % 8 * kRow + lane() / 8 * 8;
#pragma unroll
    for (int c = 0; c < kDim / 32; ++c) {
      uint32_t first[4], second[4];
      Tile::Keys(tile, c, lane(), first, second);
#pragma unroll
      for (int n = 0; n < kFragments; ++n) {
        uint32_t query[4];
        LoadMatrices(query, query_row + n * kFragmentColumns * kRow + c * 32);
        MultiplyAdd(even[n], first, {query[0], query[1]}, T{});
        MultiplyAdd(odd[n], second, {query[2], query[3]}, T{});
      }
    }
    const float key_scale[2] = {Tile::KeyScale(tile, g), Tile::KeyScale(tile, g + 8)};
    const float value_scale[2] = {Tile::ValueScale(tile, g, end - token), Tile::ValueScale(tile, g + 8, end - token)};
    uint32_t weights[kFragments][2];
#pragma unroll
    for (int n = 0; n < kFragments; ++n) {
      float score[4], weight[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int at = token + g + i / 2 * 8;
        const bool visible = at < limit[n][i % 2] && at >= limit[n][i % 2] - a_.window;
        const float product = __fmul_rn(even[n][i] + odd[n][i], a_.scale_log2 * Tile::kScoreFactor);
        score[i] = visible ? __fmul_rn(product, key_scale[i / 2]) : -INFINITY;
      }
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        float next = fmaxf(maximum[n][j], fmaxf(score[j], score[j + 2]));
        next = fmaxf(next, __shfl_xor_sync(0xffffffff, next, 4));
        next = fmaxf(next, __shfl_xor_sync(0xffffffff, next, 8));
        next = fmaxf(next, __shfl_xor_sync(0xffffffff, next, 16));
        const float base = next == -INFINITY ? 0.0f : next;  // the column has seen no token yet
        const float factor = exp2f(maximum[n][j] - base);
        maximum[n][j] = next;
        weight[j] = exp2f(score[j] - base);
        weight[j + 2] = exp2f(score[j + 2] - base);
        weight_sum[n][j] = __fmaf_rn(weight_sum[n][j], factor, weight[j]) + weight[j + 2];
#pragma unroll
        for (int i = 0; i < kDim / 16; ++i) {
          sums[n][i][j] *= factor;
          sums[n][i][j + 2] *= factor;
        }
      }
      weights[n][0] = Transpose(Pack(weight[0] * value_scale[0], weight[1] * value_scale[0], T{}));
      weights[n][1] = Transpose(Pack(weight[2] * value_scale[1], weight[3] * value_scale[1], T{}));
    }
#pragma unroll
    for (int c = 0; c < kDim / 32; ++c) {
      uint32_t first[4], second[4];
      Tile::Values(tile, c, lane(), first, second);
#pragma unroll
      for (int n = 0; n < kFragments; ++n) {
        MultiplyAdd(sums[n][2 * c], first, weights[n], T{});
        MultiplyAdd(sums[n][2 * c + 1], second, weights[n], T{});
      }
    }
  }

  // Calls body(column, d) for each four dimensions of the run's columns that fall to this thread.
  template <typename Body>
  __device__ void ForItems(const RowRun& run, const Body& body) const {
    for (int i = static_cast<int>(threadIdx.x); i < kColumns * (kDim / 4); i += kAttentionThreads) {
      const int column = i / (kDim / 4), d = i % (kDim / 4) * 4;
      if (d < a_.head_dim && Has(run, column)) body(column, d);
    }
  }

  // Adds up the warps of piece `piece` of `pieces`, and that to the pieces before it, or puts it where MergePieces finds it.
  __device__ void Merge(const RowRun& run, T* out, int piece, int pieces) {
    float* const totals = reinterpret_cast<float*>(shared_ + Layout::kTotals);  // [columns, kDim]
    // [2, columns]: what is read and what is written of it
    float2* const softmax = reinterpret_cast<float2*>(shared_ + Layout::kTotalSoftmax);
    ForItems(run, [&](int column, int d) {
      SoftmaxMerge merged;
#pragma unroll
      for (int w = 0; w < kAttentionWarps; ++w) {
        const int at = w * kColumns + column;
        if (const float2 part = merge_softmax()[at]; HasSome(part.y))
          merged.Add(part, *reinterpret_cast<const float4*>(merge_sums() + at * Layout::kMergeRow + d));
      }
      if (gridDim.z > 1 && pieces > 1) {
        const size_t at = PartialAt(piece, column);
        *reinterpret_cast<float4*>(a_.partial_sums + at * kDim + d) = merged.weighted;
        if (d == 0) a_.partial_softmax[at] = {merged.maximum, merged.sum};
        return;
      }
      SoftmaxMerge total;
      float4* const total_sums = reinterpret_cast<float4*>(totals + column * kDim + d);
      if (piece > 0) {
        const float2 before = softmax[piece % 2 * kColumns + column];
        total.maximum = before.x;
        total.sum = before.y;
        total.weighted = *total_sums;
      }
      if (HasSome(merged.sum)) total.Add({merged.maximum, merged.sum}, merged.weighted);
      if (piece == pieces - 1) return total.Store(out + At(run, column, a_.kv_heads * a_.group * a_.head_dim) + d);
      *total_sums = total.weighted;
      if (d == 0) softmax[(piece + 1) % 2 * kColumns + column] = {total.maximum, total.sum};
    });
  }

  // The block that comes last merges the pieces of all.
  __device__ void MergePieces(const RowRun& run, T* out, int pieces) {
    __shared__ int is_last;
    __threadfence();
    __syncthreads();
    int* const arrivals = a_.arrivals + blockIdx.x * gridDim.y + blockIdx.y;
    if (threadIdx.x == 0) is_last = atomicAdd(arrivals, 1) == min(static_cast<int>(gridDim.z), pieces) - 1;
    __syncthreads();
    if (!is_last) return;
    __threadfence();
    if (threadIdx.x == 0) *arrivals = 0;
    ForItems(run, [&](int column, int d) {
      SoftmaxMerge total;
      for (int piece = 0; piece < pieces; ++piece) {
        const size_t at = PartialAt(piece, column);
        const float4 values = __ldcg(reinterpret_cast<const float4*>(a_.partial_sums + at * kDim + d));
        if (const float2 part = __ldcg(a_.partial_softmax + at); HasSome(part.y)) total.Add(part, values);
      }
      total.Store(out + At(run, column, a_.kv_heads * a_.group * a_.head_dim) + d);
    });
  }
  __device__ size_t PartialAt(int piece, int column) const {
    return (static_cast<size_t>(blockIdx.x * gridDim.y + blockIdx.y) * kMostPieces + static_cast<size_t>(piece)) *
               kFragmentColumns +
           static_cast<size_t>(column);
  }

  const InvariantAttentionArguments& a_;
  unsigned char* shared_;
  int unit_, kv_head_, first_head_, heads_;
};

#endif  // __CUDA_ARCH__ >= 800

template <typename Tile, int kFragments, int kStages, typename T = typename Tile::Element>
__global__ void __launch_bounds__(kAttentionThreads)
    InvariantAttentionKernel(const __grid_constant__ InvariantAttentionArguments a, const T* queries, const void* keys,
                             const void* values, T* out) {
#if __CUDA_ARCH__ >= 800
  extern __shared__ __align__(16) unsigned char shared[];
  WaitForPredecessor();
  RowRunAttention<Tile, kFragments, kStages> attention(a, shared);
  const int first = static_cast<int>(blockIdx.x) * a.rows_of_block, end = min(first + a.rows_of_block, a.rows);
  for (int row = first; row < end;) {
    const RowRun run(a, row, end);
    if (run.position >= 0) attention.Run(run, queries, keys, values, out);
    row += run.rows;
  }
#else
  __trap();  // CanInvariantAttention says no before sm_80
#endif
}

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_INVARIANT_ATTENTION_CUH_
