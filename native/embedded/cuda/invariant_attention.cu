#include <algorithm>
#include <limits>
#include <utility>

#include "native/embedded/cuda/decode_attention.h"
#include "native/embedded/cuda/invariant_attention.cuh"
#include "native/embedded/cuda/invariant_attention.h"

namespace embedded::cuda {
namespace {

int PaddedDim(int head_dim) { return head_dim <= 64 ? 64 : head_dim <= 128 ? 128 : 256; }

// Calls body with the kernel's sizes: for rows of sequences of their own, or for several rows of a sequence.
template <typename Tile_, int kFragments_, int kStages_>
struct Variant {
  using Tile = Tile_;
  static constexpr int kFragments = kFragments_, kStages = kStages_;
};
template <typename T, int kDim, int kFragments, int kStages, typename Body>
void WithDim(KvType type, bool shares_rows, Body body) {
  const auto with = [&](auto tile) {
    using Tile = decltype(tile);
    shares_rows ? body(Variant<Tile, kFragments, kStages>()) : body(Variant<Tile, 1, kStages>());
  };
  type == KvType::kInt8 ? with(Int8Tile<T, kDim>()) : with(ElementTile<T, kDim>());
}
template <typename T, typename Body>
void WithVariant(const KvFormat& kv, bool shares_rows, Body body) {
  switch (PaddedDim(kv.layout.head_dim)) {
    case 64:
      return WithDim<T, 64, 4, 2>(kv.type, shares_rows, body);
    case 128:
      return WithDim<T, 128, 4, 2>(kv.type, shares_rows, body);
    default:
      return WithDim<T, 256, 2, 1>(kv.type, shares_rows, body);
  }
}

// Blocks of one row and unit are several only where there are fewer of these than multiprocessors.
struct Workspace {
  size_t arrivals, partial_softmax, partial_sums, bytes;

  Workspace(const KvLayout& kv, const DeviceTraits& traits) {
    const size_t shared_units = static_cast<size_t>(traits.multiprocessors);
    const size_t partials = shared_units * kMostPieces * kFragmentColumns;
    size_t end = 0;
    const auto take = [&end](size_t count) { return std::exchange(end, (end + count + 255) / 256 * 256); };
    arrivals = take(sizeof(int) * shared_units);
    partial_softmax = take(sizeof(float2) * partials);
    partial_sums = take(sizeof(float) * partials * static_cast<size_t>(PaddedDim(kv.head_dim)));
    bytes = end;
  }
};

template <typename T>
T* At(void* workspace, size_t offset) {
  return reinterpret_cast<T*>(static_cast<uint8_t*>(workspace) + offset);
}

}  // namespace

bool CanInvariantAttention(const KvFormat& kv) { return CanDecodeAttention(kv); }

size_t InvariantAttentionWorkspaceBytes(const KvLayout& kv, const DeviceTraits& traits) {
  return Workspace(kv, traits).bytes;
}

void InvariantAttention(const PlainAttentionShape& shape, const PlainAttentionBuffers& b, void* workspace,
                        cudaStream_t stream) {
  const KvLayout& kv = shape.kv.layout;
  const DeviceTraits& traits = CurrentDeviceTraits();
  const Workspace at(kv, traits);
  const bool shares_rows = b.sequence != nullptr;
  InvariantAttentionArguments a{};
  a.rows = shape.rows;
  a.group = shape.heads / kv.kv_heads;
  a.kv_heads = kv.kv_heads;
  a.head_dim = kv.head_dim;
  a.tokens_per_block = kv.tokens_per_block;
  a.max_blocks = shape.max_blocks;
  a.query_stride = shape.query_stride;
  a.window = shape.window.value_or(std::numeric_limits<int>::max());
  a.scale_log2 = shape.scale * 1.44269504f;
  a.positions = b.positions;
  a.sequence = b.sequence;
  a.block_table = b.block_table;
  a.arrivals = At<int>(workspace, at.arrivals);
  a.partial_softmax = At<float2>(workspace, at.partial_softmax);
  a.partial_sums = At<float>(workspace, at.partial_sums);
  WithElement(kv.element, [&](auto element) {
    using T = decltype(element);
    WithVariant<T>(shape.kv, shares_rows, [&](auto variant) {
      using V = decltype(variant);
      constexpr int kColumns = V::kFragments * kFragmentColumns;
      a.heads_of_unit = std::min(a.group, kColumns);
      a.units_per_kv_head = CeilDivide(a.group, a.heads_of_unit);
      a.rows_of_block = shares_rows ? kColumns / a.heads_of_unit : 1;
      const int units = kv.kv_heads * a.units_per_kv_head;
      int blocks_of_row = 1;
      if (!shares_rows) {
        const int most_pieces =
            std::min(kMostPieces, CeilDivide(shape.max_blocks * kv.tokens_per_block, kLeastPieceTokens));
        blocks_of_row = std::clamp(2 * traits.multiprocessors / (shape.rows * units), 1, most_pieces);
      }
      constexpr size_t kBytes = InvariantAttentionLayout<typename V::Tile, V::kFragments, V::kStages>::kBytes;
      const auto kernel = InvariantAttentionKernel<typename V::Tile, V::kFragments, V::kStages>;
      AllowSharedMemory(kernel, kBytes);
      Launch("InvariantAttention", kernel,
             {dim3(static_cast<unsigned>(CeilDivide(shape.rows, a.rows_of_block)), static_cast<unsigned>(units),
                   static_cast<unsigned>(blocks_of_row)),
              dim3(kAttentionThreads), kBytes},
             stream, a, static_cast<const T*>(b.queries), b.keys, b.values, static_cast<T*>(b.out));
    });
  });
}

}  // namespace embedded::cuda
