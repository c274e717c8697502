// 2 to 16 tokens against a matrix, near memory bandwidth, sm_90 on.
//
// A persistent grid, one block for each multiprocessor: a producer warp fills a ring of stages, 8 consumer warps empty it. A tile is
// 16 rows of w: 8 units, first rows of the pairs at 0 to 7, second rows at 8 to 15, so that both sums of a unit end in one lane's
// fragment. A stage holds kBlockChunkBytes of each of the tile's rows; the warps share its columns, 32 for each warp at a time, and
// their sums are added at the end of the tile, in a fixed order.
//
// The products are mma.m16n8k16 with the weights as A and 8 tokens of x as B. The order of k inside 32 columns is permuted alike in
// both, so that a lane's fragments are 16-byte loads of what lies together in memory; rows are 64 bytes further apart than a chunk is
// long, so that the loads of a warp meet no bank twice.
//
// Where a warp's part of x fits its registers (kDepth is the depth) it is read once. Where not (kDepth is 0) x travels with each stage.
//
// The weights must have been written before the kernel ahead in the stream was launched: they are read before its end.
#ifndef EMBEDDED_CUDA_BLOCK_RING_GEMV_CUH_
#define EMBEDDED_CUDA_BLOCK_RING_GEMV_CUH_

#include "native/embedded/cuda/linear_input.cuh"
#include "native/embedded/cuda/linear_output.cuh"
#include "native/embedded/cuda/ptx.cuh"

namespace embedded::cuda {

constexpr int kConsumerWarps = 8;
constexpr int kConsumerThreads = kConsumerWarps * kWarpSize;
constexpr int kBlockRingThreads = kConsumerThreads + kWarpSize;
constexpr int kBlockChunkBytes = 2048;
constexpr int kRowPitch = kBlockChunkBytes + 64;
constexpr int kColumnBytesPerStep = kConsumerWarps * 64;  // of a row, what the 8 warps multiply at a time
constexpr int kStepsPerChunk = kBlockChunkBytes / kColumnBytesPerStep;
constexpr int kTokensPerFragment = 8;
constexpr int kRowsPerFragment = 16;
constexpr int kUnitsPerFragment = kRowsPerFragment / 2;

// The parts of the kernel's shared memory, in this order.
struct BlockRingLayout {
  int stages;
  int tile_rows;      // 16 or 32
  int streamed_rows;  // of x in each stage; 0 where x lives in registers
  int max_tokens;     // 8 or 16

  __host__ __device__ size_t stage_bytes() const { return static_cast<size_t>(tile_rows + streamed_rows) * kRowPitch; }
  __host__ __device__ size_t sums_offset() const {
    return stages * stage_bytes();
  }  // two of float [8, max_tokens, tile_rows]
  __host__ __device__ size_t sums_floats() const { return size_t{kConsumerWarps} * max_tokens * tile_rows; }
  __host__ __device__ size_t barrier_offset() const {  // uint64 [2, stages]: full, empty
    return sums_offset() + 2 * sums_floats() * sizeof(float);
  }
  __host__ __device__ size_t bytes() const { return barrier_offset() + 2 * stages * sizeof(uint64_t); }
};

#if __CUDA_ARCH__ >= 900
// Where a role is in the ring.
struct RingPosition {
  int stage = 0;
  uint32_t phase = 0;

  __device__ void Advance(int stages) {
    if (++stage < stages) return;
    stage = 0;
    phase ^= 1;
  }
};

// The producer warp.
template <int kRowFragments, typename Output>
struct BlockRingProducer {
  static constexpr int kTileRows = kRowFragments * kRowsPerFragment;

  const unsigned char* weights;
  const unsigned char* x;
  Output output;
  BlockRingLayout layout;
  unsigned char* ring;
  uint64_t* full;
  int row_bytes;
  int tiles;

  // The weights of stage `stage`; lanes take a row each. Tells the barrier of x's bytes too, which StreamX brings.
  __device__ void FetchWeights(int stage, int tile, int offset) const {
    const int lane = static_cast<int>(threadIdx.x % kWarpSize);
    const int bytes = min(kBlockChunkBytes, row_bytes - offset);
    if (lane == 0) ptx::ArriveExpecting(full + stage, (kTileRows + layout.streamed_rows) * bytes);
    __syncwarp();
    if (lane >= kTileRows) return;
    const int in_fragment = lane % kRowsPerFragment;
    const int unit =
        (tile * kRowFragments + lane / kRowsPerFragment) * kUnitsPerFragment + in_fragment % kUnitsPerFragment;
    const int2 rows = output.Rows(min(unit, output.units() - 1));
    const size_t row = static_cast<size_t>(in_fragment < kUnitsPerFragment ? rows.x : rows.y);
    ptx::BulkCopy(ring + stage * layout.stage_bytes() + lane * kRowPitch, weights + row * row_bytes + offset, bytes,
                  full + stage);
  }
  __device__ void StreamX(int stage, int offset) const {
    const int lane = static_cast<int>(threadIdx.x % kWarpSize);
    if (lane >= layout.streamed_rows) return;
    const int bytes = min(kBlockChunkBytes, row_bytes - offset);
    ptx::BulkCopy(ring + stage * layout.stage_bytes() + (kTileRows + lane) * kRowPitch,
                  x + static_cast<size_t>(lane) * row_bytes + offset, bytes, full + stage);
  }
  // Fills the stages for the first time: the weights at once, x when the kernel before has written it. Then keeps them filled.
  __device__ void Run(uint64_t* empty) const {
    const int first_tile = static_cast<int>(blockIdx.x);
    int tile = first_tile;
    int offset = 0;
    int filled = 0;
    for (; filled < layout.stages && tile < tiles; ++filled) {
      FetchWeights(filled, tile, offset);
      Advance(&tile, &offset);
    }
    ptx::WaitForEarlierKernels();
    int x_tile = first_tile;
    int x_offset = 0;
    for (int stage = 0; stage < filled; ++stage) {
      StreamX(stage, x_offset);
      Advance(&x_tile, &x_offset);
    }
    for (RingPosition at; tile < tiles; at.Advance(layout.stages)) {
      ptx::WaitForPhase(empty + at.stage, at.phase);
      FetchWeights(at.stage, tile, offset);
      StreamX(at.stage, offset);
      Advance(&tile, &offset);
    }
  }
  __device__ void Advance(int* tile, int* offset) const {
    *offset += kBlockChunkBytes;
    if (*offset < row_bytes) return;
    *offset = 0;
    *tile += static_cast<int>(gridDim.x);
  }
};

// The 16 bytes at `address`, or zeros past the end of the row: what a stage holds there is left over from another chunk.
__device__ inline uint4 FragmentAt(const unsigned char* address, bool inside) {
  return inside ? *reinterpret_cast<const uint4*>(address) : make_uint4(0, 0, 0, 0);
}
#endif

// kTokenFragments: 1 for up to 8 tokens, 2 for up to 16. kRowFragments: a tile is so many times 16 rows.
template <typename T, int kDepth, int kTokenFragments, int kRowFragments, typename Output>
__global__ void __launch_bounds__(kBlockRingThreads)
    BlockRingGemvKernel(const T* weights, const T* x, int depth, int tokens, Output output, BlockRingLayout layout) {
#if __CUDA_ARCH__ >= 900
  constexpr int kTileUnits = kRowFragments * kUnitsPerFragment;
  constexpr bool kStreamed = kDepth == 0;
  constexpr int kChunksInRegisters = kStreamed ? 1 : kDepth * static_cast<int>(kElementBytes) / kBlockChunkBytes;
  static_assert(kDepth * kElementBytes % kBlockChunkBytes == 0, "x in registers has no partial chunk");
  extern __shared__ __align__(128) unsigned char shared[];
  ptx::LaunchDependents();
  const int warp = static_cast<int>(threadIdx.x / kWarpSize);
  const int lane = static_cast<int>(threadIdx.x % kWarpSize);
  float* const sums = reinterpret_cast<float*>(shared + layout.sums_offset());
  uint64_t* const full = reinterpret_cast<uint64_t*>(shared + layout.barrier_offset());
  uint64_t* const empty = full + layout.stages;
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < layout.stages; ++stage) {
      ptx::InitBarrier(full + stage, 1);
      ptx::InitBarrier(empty + stage, kConsumerWarps);
    }
    ptx::FenceBarrierInit();
  }
  __syncthreads();
  const int row_bytes = depth * static_cast<int>(kElementBytes);
  const int tiles = (output.units() + kTileUnits - 1) / kTileUnits;
  if (warp == kConsumerWarps) {
    const BlockRingProducer<kRowFragments, Output> producer{reinterpret_cast<const unsigned char*>(weights),
                                                            reinterpret_cast<const unsigned char*>(x),
                                                            output,
                                                            layout,
                                                            shared,
                                                            full,
                                                            row_bytes,
                                                            tiles};
    producer.Run(empty);
    return;
  }

  ptx::WaitForEarlierKernels();
  const int g = lane / 4;
  const int column_bytes = warp * 64 + lane % 4 * 16;  // of a step, where this lane's fragments begin
  uint4 kept_x[kChunksInRegisters * kStepsPerChunk][kTokenFragments];
  if constexpr (!kStreamed) {
#pragma unroll
    for (int i = 0; i < kChunksInRegisters * kStepsPerChunk; ++i)
#pragma unroll
      for (int n = 0; n < kTokenFragments; ++n) {
        const int token =
            min(n * kTokensPerFragment + g, tokens - 1);  // columns past the tokens are computed and dropped
        kept_x[i][n] = __ldcg(reinterpret_cast<const uint4*>(reinterpret_cast<const unsigned char*>(x) +
                                                             static_cast<size_t>(token) * row_bytes +
                                                             i * kColumnBytesPerStep + column_bytes));
      }
  }
  // What this thread finishes of each tile: one unit of one token.
  const int my_token = static_cast<int>(threadIdx.x) / kTileUnits;
  const int my_unit = static_cast<int>(threadIdx.x) % kTileUnits;
  const int my_row = my_unit / kUnitsPerFragment * kRowsPerFragment + my_unit % kUnitsPerFragment;
  const auto place = output.ForToken(min(my_token, tokens - 1));

  RingPosition at;
  int buffer = 0;
  for (int tile = static_cast<int>(blockIdx.x); tile < tiles; tile += static_cast<int>(gridDim.x)) {
    const int unit = tile * kTileUnits + my_unit;
    const bool mine = my_token < tokens && unit < output.units();
    const auto operands = output.Load(place, min(my_token, tokens - 1), min(unit, output.units() - 1));
    float products[kRowFragments][kTokenFragments][4] = {};
    const auto multiply = [&](int chunk, int valid) {
      const unsigned char* const rows = shared + at.stage * layout.stage_bytes();
      const unsigned char* const streamed = rows + layout.tile_rows * kRowPitch;
#pragma unroll
      for (int step = 0; step < kStepsPerChunk; ++step) {
        const int offset = step * kColumnBytesPerStep + column_bytes;
        const bool inside = !kStreamed || offset < valid;
        uint4 b[kTokenFragments];
#pragma unroll
        for (int n = 0; n < kTokenFragments; ++n) {
          const int token = min(n * kTokensPerFragment + g, tokens - 1);
          b[n] = kStreamed ? FragmentAt(streamed + token * kRowPitch + offset, inside)
                           : kept_x[chunk * kStepsPerChunk + step][n];
        }
#pragma unroll
        for (int j = 0; j < kRowFragments; ++j) {
          const unsigned char* const row = rows + (j * kRowsPerFragment + g) * kRowPitch + offset;
          const uint4 first = FragmentAt(row, inside);
          const uint4 second = FragmentAt(row + kUnitsPerFragment * kRowPitch, inside);
#pragma unroll
          for (int n = 0; n < kTokenFragments; ++n) {
            MultiplyAdd(products[j][n], {first.x, second.x, first.y, second.y}, {b[n].x, b[n].y}, T{});
            MultiplyAdd(products[j][n], {first.z, second.z, first.w, second.w}, {b[n].z, b[n].w}, T{});
          }
        }
      }
    };
    const auto next_chunk = [&](int chunk) {
      ptx::WaitForPhase(full + at.stage, at.phase);
      multiply(chunk, row_bytes - chunk * kBlockChunkBytes);
      __syncwarp();
      if (lane == 0) ptx::Arrive(empty + at.stage);
      at.Advance(layout.stages);
    };
    if constexpr (kStreamed) {
      for (int chunk = 0; chunk * kBlockChunkBytes < row_bytes; ++chunk) next_chunk(chunk);
    } else {
#pragma unroll
      for (int chunk = 0; chunk < kChunksInRegisters; ++chunk) next_chunk(chunk);
    }

    // Two buffers of sums: a warp that is a tile ahead writes the other one, and cannot get two ahead of this barrier.
    float* const tile_sums = sums + buffer * layout.sums_floats();
    buffer ^= 1;
    float* const warp_sums = tile_sums + warp * layout.max_tokens * layout.tile_rows;  // [max_tokens, tile_rows]
#pragma unroll
    for (int j = 0; j < kRowFragments; ++j)
#pragma unroll
      for (int n = 0; n < kTokenFragments; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int token = n * kTokensPerFragment + lane % 4 * 2 + i % 2;
          const int row = j * kRowsPerFragment + g + i / 2 * kUnitsPerFragment;
          if (token < tokens) warp_sums[token * layout.tile_rows + row] = products[j][n][i];
        }
    ptx::BarrierOf(kConsumerThreads);
    if (!mine) continue;
    float first = 0;
    float second = 0;
#pragma unroll
    for (int i = 0; i < kConsumerWarps; ++i) {
      const float* const from = tile_sums + (i * layout.max_tokens + my_token) * layout.tile_rows + my_row;
      first += from[0];
      second += from[kUnitsPerFragment];
    }
    output.Store(place, my_token, unit, operands, first, second);
  }
#else
  __trap();
#endif
}

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_BLOCK_RING_GEMV_CUH_
