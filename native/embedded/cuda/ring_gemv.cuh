// One token against a matrix, near memory bandwidth, sm_90 on.
//
// A persistent grid, one block for each multiprocessor. A warp owns pairs of rows of w ("units") and a ring of stages of its own; a
// stage holds kChunkBytes of both rows, which the copy engine fetches. The warp refills a stage itself as soon as it has read it, so
// that bytes in flight never depend on another warp, and the main loop has no barrier of the block.
//
// The products run on the tensor core without converting a weight. A 16-byte load of each lane covers 256 elements of a row: lane
// 4g + t holds elements 8t to 8t + 7 of the row's piece g, a piece being 32 elements. Taken as fragments of mma.m16n8k16, rows 0 to 7
// of A are the 8 pieces of the first row, rows 8 to 15 those of the second, and column g of B is piece g of x; the order of k inside a
// piece is permuted, alike in A and B. Of the product only D[g][g] and D[g + 8][g] mean something: piece g's part of the two sums.
// That wastes 7/8 of the tensor core, which is idle anyway, and saves the unpacking and FMAs.
//
// The weights must have been written before the kernel ahead in the stream was launched: they are read before its end.
#ifndef EMBEDDED_CUDA_RING_GEMV_CUH_
#define EMBEDDED_CUDA_RING_GEMV_CUH_

#include "native/embedded/cuda/linear_input.cuh"
#include "native/embedded/cuda/linear_output.cuh"
#include "native/embedded/cuda/ptx.cuh"

namespace embedded::cuda {

constexpr int kRingMaxWarps = 16;
constexpr int kWarpLoadBytes = 512;                                // 16 for each lane
constexpr int kWarpLoadElements = kWarpLoadBytes / kElementBytes;  // the multiple that x is padded to with zeros

// The parts of the kernel's shared memory, in this order.
struct RingLayout {
  int warps;
  int stages;
  int chunk_bytes;
  int padded_depth;

  __host__ __device__ size_t stage_bytes() const { return 2 * static_cast<size_t>(chunk_bytes); }
  __host__ __device__ size_t x_offset() const { return warps * stages * stage_bytes(); }  // elements [padded_depth]
  __host__ __device__ size_t barrier_offset() const {                                     // uint64 [warps, stages]
    return x_offset() + static_cast<size_t>(padded_depth) * kElementBytes;
  }
  __host__ __device__ size_t scratch_offset() const {  // float [kScratchFloats]
    return barrier_offset() + warps * stages * sizeof(uint64_t);
  }
  __host__ __device__ size_t bytes() const { return scratch_offset() + kScratchFloats * sizeof(float); }
};

#if __CUDA_ARCH__ >= 900
// Adds the products of the 512 bytes at `offset` of both rows and of x; bytes from `valid` on count as zeros.
template <typename T>
__device__ void AddProducts(float (&sums)[4], const unsigned char* rows, int chunk_bytes, const unsigned char* x,
                            int offset, int valid) {
  uint4 a = make_uint4(0, 0, 0, 0);
  uint4 b = a;
  if (offset < valid) {
    a = *reinterpret_cast<const uint4*>(rows + offset);
    b = *reinterpret_cast<const uint4*>(rows + chunk_bytes + offset);
  }
  const uint4 c = *reinterpret_cast<const uint4*>(x + offset);
  MultiplyAdd(sums, {a.x, b.x, a.y, b.y}, {c.x, c.y}, T{});
  MultiplyAdd(sums, {a.z, b.z, a.w, b.w}, {c.z, c.w}, T{});
}

// One warp's ring, and how far it has been asked for.
template <int kChunkBytes, typename Output>
struct RingFetcher {
  const unsigned char* weights;
  Output output;
  unsigned char* ring;  // [stages, 2, kChunkBytes]
  uint64_t* full;       // [stages]
  int row_bytes;
  int step;  // from a unit to the warp's next
  int unit;
  int offset;  // bytes into the unit's rows

  // Asks for the next chunk of both rows; nothing where the warp's units are through. All lanes call it.
  __device__ void Fetch(int stage) {
    if (unit >= output.units()) return;
    const int lane = static_cast<int>(threadIdx.x % kWarpSize);
    const int bytes = min(kChunkBytes, row_bytes - offset);
    const int2 rows = output.Rows(unit);
    if (lane == 0) ptx::ArriveExpecting(full + stage, 2 * bytes);
    __syncwarp();
    if (lane < 2) {
      const size_t row = static_cast<size_t>(lane == 0 ? rows.x : rows.y);
      ptx::BulkCopy(ring + (2 * stage + lane) * kChunkBytes, weights + row * row_bytes + offset, bytes, full + stage);
    }
    offset += kChunkBytes;
    if (offset < row_bytes) return;
    offset = 0;
    unit += step;
  }
};
#endif

template <typename T, int kChunkBytes, typename Input, typename Output>
__global__ void __launch_bounds__(kRingMaxWarps* kWarpSize)
    RingGemvKernel(const T* weights, Input input, Output output, RingLayout layout) {
#if __CUDA_ARCH__ >= 900
  extern __shared__ __align__(128) unsigned char shared[];
  ptx::LaunchDependents();
  const int warp = static_cast<int>(threadIdx.x / kWarpSize);
  const int lane = static_cast<int>(threadIdx.x % kWarpSize);
  const int stages = layout.stages;
  unsigned char* const ring = shared + warp * stages * layout.stage_bytes();
  T* const x = reinterpret_cast<T*>(shared + layout.x_offset());
  uint64_t* const full = reinterpret_cast<uint64_t*>(shared + layout.barrier_offset()) + warp * stages;
  float* const scratch = reinterpret_cast<float*>(shared + layout.scratch_offset());
  if (lane == 0) {
    for (int stage = 0; stage < stages; ++stage) ptx::InitBarrier(full + stage, 1);
    ptx::FenceBarrierInit();
  }
  __syncwarp();

  const int row_bytes = input.depth * static_cast<int>(kElementBytes);
  // Units go to blocks before they go to warps, so that multiprocessors differ by one unit at most.
  const int first_unit = warp * static_cast<int>(gridDim.x) + static_cast<int>(blockIdx.x);
  const int step = layout.warps * static_cast<int>(gridDim.x);
  RingFetcher<kChunkBytes, Output> fetcher{
      reinterpret_cast<const unsigned char*>(weights), output, ring, full, row_bytes, step, first_unit, 0};
  for (int stage = 0; stage < stages; ++stage) fetcher.Fetch(stage);

  auto pieces = input.Prepare();
  ptx::WaitForEarlierKernels();
  input.Load(&pieces);
  const auto place = output.ForToken(0);
  input.Stage(pieces, x, layout.padded_depth, scratch);
  __syncthreads();

  int stage = 0;
  uint32_t phase = 0;
  for (int unit = first_unit; unit < output.units(); unit += step) {
    const auto operands = output.Load(place, 0, unit);
    float sums[4] = {};
    for (int offset = 0; offset < row_bytes; offset += kChunkBytes) {
      ptx::WaitForPhase(full + stage, phase);
      const unsigned char* const rows = ring + stage * layout.stage_bytes();
      const unsigned char* const piece = reinterpret_cast<const unsigned char*>(x) + offset;
      const int valid = row_bytes - offset;
      if (valid >= kChunkBytes) {
#pragma unroll
        for (int at = 0; at < kChunkBytes; at += kWarpLoadBytes)
          AddProducts<T>(sums, rows, kChunkBytes, piece, at + lane * 16, kChunkBytes);
      } else {
        for (int at = 0; at < valid; at += kWarpLoadBytes)
          AddProducts<T>(sums, rows, kChunkBytes, piece, at + lane * 16, valid);
      }
      __syncwarp();  // every lane has read the stage
      fetcher.Fetch(stage);
      if (++stage == stages) {
        stage = 0;
        phase ^= 1;
      }
    }
    // The diagonal: lane 4g + t holds columns 2t and 2t + 1 of rows g and g + 8.
    const int g = lane / 4;
    const bool on_diagonal = lane % 4 == g / 2;
    const float first = SumOverWarp(on_diagonal ? (g % 2 == 0 ? sums[0] : sums[1]) : 0.0f);
    const float second = SumOverWarp(on_diagonal ? (g % 2 == 0 ? sums[2] : sums[3]) : 0.0f);
    if (lane == 0) output.Store(place, 0, unit, operands, first, second);
  }
#else
  __trap();
#endif
}

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_RING_GEMV_CUH_
