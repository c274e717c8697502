#include <algorithm>
#include <utility>

#include "native/embedded/cuda/decode_attention.cuh"
#include "native/embedded/cuda/decode_attention.h"

namespace embedded::cuda {
namespace {

constexpr int kPlanThreads = 1024;
// A block that takes fewer tiles spends longer on the merge than on its tokens.
constexpr int kLeastTiles = 2;

// What a launch needs for one cache: how a tile lies in shared memory, and how many of them a warp has there.
template <typename Tile_, int kStages_>
struct Variant {
  using Tile = Tile_;
  static constexpr int kStages = kStages_;

  static size_t SharedBytes(int merge_heads) {
    return kDecodeRingBytes<Tile, kStages> + DecodeMergeBytes(Tile::kDim, merge_heads);
  }
};

// Calls body with the deepest of these rings that fits; the last one always does.
template <typename Tile, int kStages, int... kFewer, typename Body>
void WithStages(int shared_memory, int merge_heads, Body body) {
  using V = Variant<Tile, kStages>;
  if constexpr (sizeof...(kFewer) > 0) {
    if (V::SharedBytes(merge_heads) > static_cast<size_t>(shared_memory))
      return WithStages<Tile, kFewer...>(shared_memory, merge_heads, body);
  }
  body(V());
}
template <typename T, int kDim, int... kStages, typename Body>
void WithDim(KvType type, int shared_memory, int merge_heads, Body body) {
  if (type == KvType::kInt8) return WithStages<Int8Tile<T, kDim>, kStages...>(shared_memory, merge_heads, body);
  WithStages<ElementTile<T, kDim>, kStages...>(shared_memory, merge_heads, body);
}

int PaddedDim(int head_dim) {
  for (const int dim : {32, 64, 96, 128, 192})
    if (head_dim <= dim) return dim;
  return 256;
}

template <typename T, typename Body>
void WithVariant(const KvFormat& kv, int shared_memory, int merge_heads, Body body) {
  switch (PaddedDim(kv.layout.head_dim)) {
    case 32:
      return WithDim<T, 32, 3>(kv.type, shared_memory, merge_heads, body);
    case 64:
      return WithDim<T, 64, 3>(kv.type, shared_memory, merge_heads, body);
    case 96:
      return WithDim<T, 96, 3, 2>(kv.type, shared_memory, merge_heads, body);
    case 128:
      return WithDim<T, 128, 3, 2>(kv.type, shared_memory, merge_heads, body);
    case 192:
      return WithDim<T, 192, 3, 1>(kv.type, shared_memory, merge_heads, body);
    default:
      return WithDim<T, 256, 3, 2, 1>(kv.type, shared_memory, merge_heads, body);
  }
}

int UnitsPerKvHead(const KvLayout& kv, int heads) { return CeilDivide(heads / kv.kv_heads, kUnitHeads); }

// The grid is the same for every step, so that a graph can hold it: what fits on the device at once.
int GridBlocks(const KvFormat& kv, int heads, const DeviceTraits& traits) {
  const int merge_heads = std::min(heads / kv.layout.kv_heads, kUnitHeads);
  int blocks = 0;
  WithVariant<__half>(kv, traits.shared_memory_per_block, merge_heads, [&](auto variant) {
    using V = decltype(variant);
    const size_t bytes = V::SharedBytes(merge_heads) + 1024;
    const int resident = static_cast<int>(static_cast<size_t>(traits.shared_memory_per_multiprocessor) / bytes);
    blocks = traits.multiprocessors * std::clamp(resident, 1, kDecodeBlocks<typename V::Tile, V::kStages>);
  });
  return blocks;
}

// The parts of the workspace, each aligned to 256 bytes.
struct Workspace {
  size_t starts, tiles_per_block, tile_ends, arrivals, partial_softmax, partial_sums, bytes;

  Workspace(const KvFormat& kv, int heads, int sequences, const DeviceTraits& traits) {
    const size_t grid = static_cast<size_t>(GridBlocks(kv, heads, traits));
    const size_t units =
        static_cast<size_t>(kv.layout.kv_heads) * static_cast<size_t>(UnitsPerKvHead(kv.layout, heads));
    size_t end = 0;
    const auto take = [&end](size_t count) { return std::exchange(end, (end + count + 255) / 256 * 256); };
    starts = take(sizeof(DecodeStart) * grid);
    tiles_per_block = take(sizeof(int));
    partial_softmax = take(sizeof(float2) * grid * 2 * kUnitHeads);
    partial_sums = take(sizeof(float) * grid * 2 * kUnitHeads * static_cast<size_t>(PaddedDim(kv.layout.head_dim)));
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

bool CanDecodeAttention(const KvFormat& kv) {
  const int vector = kv.type == KvType::kInt8 ? 16 : 8;  // numbers that are copied at once
  return CurrentDeviceTraits().compute_capability >= 80 && kv.layout.head_dim % vector == 0 &&
         kv.layout.head_dim <= 256 && kv.layout.tokens_per_block >= kWarpTokens &&
         (kv.layout.tokens_per_block & (kv.layout.tokens_per_block - 1)) == 0;
}

size_t DecodeAttentionWorkspaceBytes(const KvFormat& kv, int heads, int sequences, const DeviceTraits& traits) {
  return Workspace(kv, heads, sequences, traits).bytes;
}

void PlanDecodeAttention(const DecodeAttentionShape& shape, const DecodeAttentionBuffers& b, cudaStream_t stream) {
  const DeviceTraits& traits = CurrentDeviceTraits();
  const Workspace at(shape.kv, shape.heads, shape.sequences, traits);
  Launch("PlanDecodeAttention", PlanKernel, {dim3(1), dim3(kPlanThreads)}, stream, b.context_lengths, shape.sequences,
         shape.kv.layout.kv_heads * UnitsPerKvHead(shape.kv.layout, shape.heads),
         GridBlocks(shape.kv, shape.heads, traits), At<DecodeStart>(b.workspace, at.starts),
         At<int>(b.workspace, at.tiles_per_block), At<int>(b.workspace, at.tile_ends),
         At<int>(b.workspace, at.arrivals));
}

void DecodeAttention(const DecodeAttentionShape& shape, const DecodeAttentionBuffers& b, cudaStream_t stream) {
  const KvLayout& kv = shape.kv.layout;
  const DeviceTraits& traits = CurrentDeviceTraits();
  const Workspace at(shape.kv, shape.heads, shape.sequences, traits);
  DecodeArguments arguments{};
  arguments.sequences = shape.sequences;
  arguments.units_per_kv_head = UnitsPerKvHead(kv, shape.heads);
  arguments.units = kv.kv_heads * arguments.units_per_kv_head;
  arguments.group = shape.heads / kv.kv_heads;
  arguments.kv_heads = kv.kv_heads;
  arguments.head_dim = kv.head_dim;
  arguments.tokens_per_block = kv.tokens_per_block;
  while (1 << arguments.block_shift < kv.tokens_per_block) ++arguments.block_shift;
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
    WithVariant<T>(shape.kv, traits.shared_memory_per_block, merge_heads, [&](auto variant) {
      using V = decltype(variant);
      const auto kernel = DecodeAttentionKernel<typename V::Tile, V::kStages>;
      const size_t bytes = V::SharedBytes(merge_heads);
      AllowSharedMemory(kernel, bytes);
      Launch("DecodeAttention", kernel,
             {dim3(static_cast<unsigned>(GridBlocks(shape.kv, shape.heads, traits))), dim3(kDecodeThreads), bytes},
             stream, arguments, static_cast<const T*>(b.queries), b.keys, b.values, static_cast<T*>(b.out));
    });
  });
}

}  // namespace embedded::cuda
