#include <algorithm>
#include <utility>

#include "native/embedded/cuda/decode_attention.cuh"
#include "native/embedded/cuda/decode_attention.h"

namespace embedded::cuda {
namespace {

constexpr int kPlanThreads = 1024;
// A block that takes fewer tiles spends longer on the merge than on its tokens.
constexpr int kLeastTiles = 2;
constexpr int kMaxBlocksPerMultiprocessor = 4;

// Everything a launch needs for one head_dim: `body` gets the padded dimension and the depth of the ring as types.
template <int kDim, int kStages>
struct Variant {
  static constexpr int dim = kDim;
  static constexpr int stages = kStages;
};
template <typename Body>
void WithVariant(int head_dim, int shared_memory, int merge_heads, Body body) {
  const auto fits = [&](int dim, int stages) {
    return DecodeRingBytes(dim, stages) + DecodeMergeBytes(dim, merge_heads) <= static_cast<size_t>(shared_memory);
  };
  if (head_dim <= 32) return body(Variant<32, 3>());
  if (head_dim <= 64) return body(Variant<64, 3>());
  if (head_dim <= 96) return fits(96, 3) ? body(Variant<96, 3>()) : body(Variant<96, 2>());
  if (head_dim <= 128) return fits(128, 3) ? body(Variant<128, 3>()) : body(Variant<128, 2>());
  if (head_dim <= 192) return fits(192, 3) ? body(Variant<192, 3>()) : body(Variant<192, 1>());
  if (fits(256, 3)) return body(Variant<256, 3>());
  return fits(256, 2) ? body(Variant<256, 2>()) : body(Variant<256, 1>());
}

int UnitsPerKvHead(const KvLayout& kv, int heads) { return CeilDivide(heads / kv.kv_heads, kUnitHeads); }

// The grid is the same for every step, so that a graph can hold it: what fits on the device at once.
int GridBlocks(const KvLayout& kv, int heads, const DeviceTraits& traits) {
  const int merge_heads = std::min(heads / kv.kv_heads, kUnitHeads);
  int blocks = 0;
  WithVariant(kv.head_dim, traits.shared_memory_per_block, merge_heads, [&](auto variant) {
    using V = decltype(variant);
    const size_t bytes = DecodeRingBytes(V::dim, V::stages) + DecodeMergeBytes(V::dim, merge_heads) + 1024;
    const int resident = static_cast<int>(static_cast<size_t>(traits.shared_memory_per_multiprocessor) / bytes);
    blocks = traits.multiprocessors * std::clamp(resident, 1, kMaxBlocksPerMultiprocessor);
  });
  return blocks;
}

int PaddedDim(const KvLayout& kv) {
  int dim = 0;
  WithVariant(kv.head_dim, 0, 1, [&](auto variant) { dim = decltype(variant)::dim; });
  return dim;
}

// The parts of the workspace, each aligned to 256 bytes.
struct Workspace {
  size_t starts, tiles_per_block, tile_ends, arrivals, partial_softmax, partial_sums, bytes;

  Workspace(const KvLayout& kv, int heads, int sequences, const DeviceTraits& traits) {
    const size_t grid = static_cast<size_t>(GridBlocks(kv, heads, traits));
    const size_t units = static_cast<size_t>(kv.kv_heads) * static_cast<size_t>(UnitsPerKvHead(kv, heads));
    size_t end = 0;
    const auto take = [&end](size_t count) { return std::exchange(end, (end + count + 255) / 256 * 256); };
    starts = take(sizeof(DecodeStart) * grid);
    tiles_per_block = take(sizeof(int));
    partial_softmax = take(sizeof(float2) * grid * 2 * kUnitHeads);
    partial_sums = take(sizeof(float) * grid * 2 * kUnitHeads * static_cast<size_t>(PaddedDim(kv)));
    tile_ends = take(sizeof(int) * static_cast<size_t>(sequences));
    arrivals = take(sizeof(int) * static_cast<size_t>(sequences) * units);
    bytes = end;
  }
};

template <typename T>
T* At(void* workspace, size_t offset) {
  return reinterpret_cast<T*>(static_cast<uint8_t*>(workspace) + offset);
}

// One block: adds up the tiles of the sequences, gives each block of the grid an equal share and finds where it starts.
__global__ void __launch_bounds__(kPlanThreads)
    PlanKernel(const int32_t* context_lengths, int sequences, int units, int grid, DecodeStart* starts,
               int* tiles_per_block, int* tile_ends, int* arrivals) {
  __shared__ int warp_sums[32];
  __shared__ int before;
  WaitForPredecessor();
  if (threadIdx.x == 0) before = 0;
  for (int first = 0; first < sequences; first += kPlanThreads) {
    const int s = first + static_cast<int>(threadIdx.x);
    int sum = s < sequences ? (context_lengths[s] + kTileTokens - 1) / kTileTokens * units : 0;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    for (int offset = 1; offset < 32; offset *= 2) {
      const int other = __shfl_up_sync(0xffffffff, sum, offset);
      if (lane >= offset) sum += other;
    }
    if (lane == 31) warp_sums[threadIdx.x / 32] = sum;
    __syncthreads();
    int offset = before;
    for (int w = 0; w < static_cast<int>(threadIdx.x) / 32; ++w) offset += warp_sums[w];
    if (s < sequences) tile_ends[s] = offset + sum;
    __syncthreads();
    if (threadIdx.x == kPlanThreads - 1) before = offset + sum;
    __syncthreads();
  }
  const int total = before;
  const int share = max(kLeastTiles, (total + grid - 1) / grid);
  if (threadIdx.x == 0) *tiles_per_block = share;
  for (int i = static_cast<int>(threadIdx.x); i < sequences * units; i += kPlanThreads) arrivals[i] = 0;
  for (int block = static_cast<int>(threadIdx.x); block < grid; block += kPlanThreads) {
    const int tile = block * share;
    DecodeStart start{0, 0, 0, max(0, min(share, total - tile))};
    if (start.tiles > 0) {
      int low = 0, high = sequences - 1;  // the first sequence that ends after `tile`
      while (low < high) {
        const int middle = (low + high) / 2;
        if (tile_ends[middle] > tile) {
          high = middle;
        } else {
          low = middle + 1;
        }
      }
      const int tiles = (context_lengths[low] + kTileTokens - 1) / kTileTokens;
      const int inside = tile - (tile_ends[low] - tiles * units);
      start.sequence = low;
      start.unit = inside / tiles;
      start.tile = inside % tiles;
    }
    starts[block] = start;
  }
}

}  // namespace

bool CanDecodeAttention(const KvLayout& kv) {
  return CurrentDeviceTraits().compute_capability >= 80 && kv.head_dim % 8 == 0 && kv.head_dim <= 256 &&
         kv.tokens_per_block % kWarpTokens == 0;
}

size_t DecodeAttentionWorkspaceBytes(const KvLayout& kv, int heads, int sequences, const DeviceTraits& traits) {
  return Workspace(kv, heads, sequences, traits).bytes;
}

void PlanDecodeAttention(const DecodeAttentionShape& shape, const DecodeAttentionBuffers& b, cudaStream_t stream) {
  const DeviceTraits& traits = CurrentDeviceTraits();
  const Workspace at(shape.kv, shape.heads, shape.sequences, traits);
  Launch("PlanDecodeAttention", PlanKernel, {dim3(1), dim3(kPlanThreads)}, stream, b.context_lengths, shape.sequences,
         shape.kv.kv_heads * UnitsPerKvHead(shape.kv, shape.heads), GridBlocks(shape.kv, shape.heads, traits),
         At<DecodeStart>(b.workspace, at.starts), At<int>(b.workspace, at.tiles_per_block),
         At<int>(b.workspace, at.tile_ends), At<int>(b.workspace, at.arrivals));
}

void DecodeAttention(const DecodeAttentionShape& shape, const DecodeAttentionBuffers& b, cudaStream_t stream) {
  const KvLayout& kv = shape.kv;
  const DeviceTraits& traits = CurrentDeviceTraits();
  const Workspace at(kv, shape.heads, shape.sequences, traits);
  DecodeArguments arguments{};
  arguments.sequences = shape.sequences;
  arguments.units_per_kv_head = UnitsPerKvHead(kv, shape.heads);
  arguments.units = kv.kv_heads * arguments.units_per_kv_head;
  arguments.group = shape.heads / kv.kv_heads;
  arguments.kv_heads = kv.kv_heads;
  arguments.head_dim = kv.head_dim;
  arguments.tokens_per_block = kv.tokens_per_block;
  arguments.max_blocks = shape.max_blocks;
  arguments.query_stride = shape.query_stride;
  arguments.scale_log2 = shape.scale * 1.44269504f;
  arguments.block_table = b.block_table;
  arguments.context_lengths = b.context_lengths;
  arguments.starts = At<DecodeStart>(b.workspace, at.starts);
  arguments.tiles_per_block = At<int>(b.workspace, at.tiles_per_block);
  arguments.arrivals = At<int>(b.workspace, at.arrivals);
  arguments.partial_sums = At<float>(b.workspace, at.partial_sums);
  arguments.partial_softmax = At<float2>(b.workspace, at.partial_softmax);
  const int merge_heads = std::min(arguments.group, kUnitHeads);
  WithElement(kv.element, [&](auto element) {
    using T = decltype(element);
    WithVariant(kv.head_dim, CurrentDeviceTraits().shared_memory_per_block, merge_heads, [&](auto variant) {
      using V = decltype(variant);
      const auto kernel = DecodeAttentionKernel<T, V::dim, V::stages>;
      const size_t bytes = DecodeRingBytes(V::dim, V::stages) + DecodeMergeBytes(V::dim, merge_heads);
      AllowSharedMemory(kernel, bytes);
      Launch("DecodeAttention", kernel,
             {dim3(static_cast<unsigned>(GridBlocks(kv, shape.heads, traits))), dim3(kDecodeThreads), bytes}, stream,
             arguments, static_cast<const T*>(b.queries), static_cast<const T*>(b.keys),
             static_cast<const T*>(b.values), static_cast<T*>(b.out));
    });
  });
}

}  // namespace embedded::cuda
