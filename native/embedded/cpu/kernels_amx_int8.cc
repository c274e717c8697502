// ggml's blocks with AMX-INT8. Compiled with that flag: include only what kernels.h allows.
//
// The whole numbers are summed by tiles instead of VNNI, and then scaled in the same order, so the bits are VNNI's. Scaling
// takes most of the time of both: for many rows, tiles were 20 to 36% faster with Q8_0 and Q4_0, as fast with Q4_K, and
// slower with the types that have a scale for 16 weights. Those stay VNNI's, and so do the rows that fill no tile.
#include "native/embedded/cpu/amx_tiles.h"
#include "native/embedded/cpu/block_kernels.h"
#include "native/embedded/cpu/block_vectors_avx512.h"

namespace embedded::cpu {
namespace {

using Blocks = BlockKernels<Avx512Blocks>;

constexpr int kLeastRows = 2 * kTileRows;

// Tile 0 has the sums, 1 the input, and 2 the weights.
struct Shapes : TileShapes {
  constexpr Shapes() {
    Set(0, kTileRows, 64);
    Set(1, kTileRows, kBlockDepth);
    Set(2, kFours, 64);
  }
};
constexpr Shapes kShapes;

// The weights of some blocks less their offset, and what scales them.
struct Weights {
  alignas(64) uint8_t bytes[kBlocksPerSum][2][kFours][kFourBytes];  // by block and half of the panel
  Blocks::Factors factors;
};

template <typename Type>
void Unpack(const BlockPanel<Type>* panels, int blocks, Weights* weights) {
  constexpr int kPanelBlocks = BlockPanel<Type>::kBlocks;
  Blocks::ReadFactors(panels, blocks, &weights->factors);
  const __m512i offset = _mm512_set1_epi8(static_cast<char>(Type::kOffset));
  for (int block = 0; block < blocks; ++block) {
    const auto& quants = panels[block / kPanelBlocks].quants[block % kPanelBlocks];
    const auto store = [&](int four, const Blocks::Pair& pair) {
      _mm512_store_si512(weights->bytes[block][0][four], _mm512_sub_epi8(pair.low, offset));
      _mm512_store_si512(weights->bytes[block][1][four], _mm512_sub_epi8(pair.high, offset));
    };
    for (int four = 0; four < kFours; four += 2) {
      store(four, Blocks::LoadWeights<0>(quants, four, 0));
      store(four + 1, Blocks::LoadWeights<1>(quants, four + 1, 0));
    }
  }
}

// out [16, 16] of a half of the panel.
template <typename Type>
void Tile(const Weights& weights, int half, const Blocks::Input& x, int blocks, float* out, size_t out_stride,
          bool add_to_out) {
  static_assert(Type::kGroup == kBlockDepth);
  alignas(64) int32_t sums[kBlocksPerSum][kTileRows][kHalfPanel];
  for (int block = 0; block < blocks; ++block) {
    _tile_zero(0);
    _tile_loadd(1, x.At(0, block).values, x.stride);
    _tile_loadd(2, weights.bytes[block][half], 64);
    _tile_dpbssd(0, 1, 2);
    _tile_stored(0, sums[block], 64);
  }
  for (int row = 0; row < kTileRows; ++row) {
    __m512 total = _mm512_setzero_ps();
    for (int block = 0; block < blocks; ++block) {
      const InputBlock& input = x.At(row, block);
      const __m512 scale = _mm512_load_ps(weights.factors.scales[block] + half * kHalfPanel);
      const __m512 sum = _mm512_cvtepi32_ps(_mm512_load_si512(sums[block][row]));
      total = _mm512_fmadd_ps(_mm512_mul_ps(scale, _mm512_set1_ps(input.scale)), sum, total);
      if constexpr (Type::Scales::kHasMin)
        total = _mm512_fnmadd_ps(_mm512_load_ps(weights.factors.mins[block] + half * kHalfPanel),
                                 _mm512_set1_ps(input.scaled_sums[2]), total);
    }
    float* const to = out + row * out_stride;
    _mm512_storeu_ps(to, add_to_out ? _mm512_add_ps(_mm512_loadu_ps(to), total) : total);
  }
}

// Of whole tiles of rows.
template <typename Type>
void ProductOfTiles(const LayoutProduct& p) {
  const int blocks = p.depth / kBlockDepth;
  Weights weights;
  _tile_loadconfig(&kShapes);
  for (int block = 0; block < blocks; block += kBlocksPerSum) {
    const int count = blocks - block < kBlocksPerSum ? blocks - block : kBlocksPerSum;
    Unpack(static_cast<const BlockPanel<Type>*>(p.panel) + block / BlockPanel<Type>::kBlocks, count, &weights);
    LetTilesRead(&weights);
    for (int row = 0; row < p.rows; row += kTileRows) {
      const Blocks::Input x{static_cast<const char*>(p.x) + row * p.x_stride + block * sizeof(InputBlock), p.x_stride};
      for (int half = 0; half < 2; ++half)
        Tile<Type>(weights, half, x, count, p.out + row * p.out_stride + half * kHalfPanel, p.out_stride,
                   p.add_to_out || block > 0);
    }
  }
  _tile_release();
}

template <typename Type>
void Product(const LayoutProduct& p) {
  LayoutProduct many = p, few = p;
  many.rows = p.rows < kLeastRows ? 0 : p.rows / kTileRows * kTileRows;
  few.rows = p.rows - many.rows;
  if (many.rows > 0) ProductOfTiles<Type>(many);
  if (few.rows == 0) return;
  few.x = static_cast<const char*>(p.x) + many.rows * p.x_stride;
  few.out = p.out + many.rows * p.out_stride;
  VnniLayout(Type::kType).product(few);
}

// VNNI's but for the product.
template <typename Type>
void Use(Kernels* kernels) {
  static const Layout layout = [] {
    Layout vnni = VnniLayout(Type::kType);
    vnni.product = Product<Type>;
    return vnni;
  }();
  kernels->layouts[static_cast<int>(Type::kType)] = &layout;
}

}  // namespace

void UseAmxBlocks(Kernels* kernels) {
  Use<Q4_0>(kernels);
  Use<Q4_1>(kernels);
  Use<Q5_0>(kernels);
  Use<Q5_1>(kernels);
  Use<Q8_0>(kernels);
}

}  // namespace embedded::cpu
