// AMX-BF16. Compiled with that flag: include only what kernels.h allows.
//
// TDPBF16PS adds 32 products to each sum: those of the even inputs one after the other, likewise the odd ones, then
// both sums to what there was. A row of the result depends on no other, so a tile of one row gives the same bits as one
// of 16, and decode takes the same instruction as prefill.
#include "native/embedded/cpu/amx_tiles.h"
#include "native/embedded/cpu/bfloat16_tiles.h"

namespace embedded::cpu {
namespace {

constexpr int kLanes = 16;
constexpr int kBlockRows = 2 * kTileRows;  // 2 tiles of input by 2 of weights: each is used twice for once loaded
constexpr int kPrefetchBytes = 4096;       // the hardware's prefetcher stops at each page of 4 KiB; this looks past it

// Tiles 0 and 1 are the sums of the first 16 rows, 2 and 3 those of the others; 4 and 5 the two tiles of input, 6 and 7
// those of weights.
struct ShapesByRows {
  TileShapes of[kBlockRows + 1] = {};

  constexpr ShapesByRows() {
    for (int rows = 1; rows <= kBlockRows; ++rows) {
      const int first = rows < kTileRows ? rows : kTileRows;
      const int second = rows > kTileRows ? rows - kTileRows : 1;  // unused
      const int by_tile[] = {first, first, second, second, first, second, kTileRows, kTileRows};
      for (int tile = 0; tile < 8; ++tile) of[rows].Set(tile, by_tile[tile], 64);
    }
  }
};
constexpr ShapesByRows kShapes;

// sums [rows, 32] of up to 32 rows.
template <bool second_tile>
void Block(const char* x, size_t x_stride, const char* panel, int steps, bool first_of_panel, float* sums) {
  constexpr size_t kSumsStride = kPanelWidth * sizeof(float);
  _tile_zero(0);
  _tile_zero(1);
  if constexpr (second_tile) {
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int step = 0; step < steps; ++step, x += 64, panel += Bfloat16Tiles::kStepBytes) {
    if (first_of_panel)  // later ones find it in the cache
#pragma GCC unroll 32
      for (size_t line = 0; line < Bfloat16Tiles::kStepBytes; line += 64)
        _mm_prefetch(panel + line + kPrefetchBytes, _MM_HINT_T0);
    _tile_loadd(6, panel, 64);
    _tile_loadd(4, x, x_stride);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, panel + Bfloat16Tiles::kHalfBytes, 64);
    _tile_dpbf16ps(1, 4, 7);
    if constexpr (second_tile) {
      _tile_loadd(5, x + kTileRows * x_stride, x_stride);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, sums, kSumsStride);
  _tile_stored(1, sums + kLanes, kSumsStride);
  if constexpr (second_tile) {
    _tile_stored(2, sums + kTileRows * kPanelWidth, kSumsStride);
    _tile_stored(3, sums + kTileRows * kPanelWidth + kLanes, kSumsStride);
  }
}

void Product(const LayoutProduct& p) {
  alignas(64) float sums[kBlockRows * kPanelWidth];
  const int steps = Bfloat16Tiles::Steps(p.depth);
  const auto* panel = static_cast<const char*>(p.panel);
  int shaped_for = 0;
  for (int row = 0; row < p.rows; row += kBlockRows) {
    const int rows = p.rows - row < kBlockRows ? p.rows - row : kBlockRows;
    if (rows != shaped_for) _tile_loadconfig(&kShapes.of[rows]);
    shaped_for = rows;
    const char* const x = static_cast<const char*>(p.x) + row * p.x_stride;
    if (rows > kTileRows)
      Block<true>(x, p.x_stride, panel, steps, row == 0, sums);
    else
      Block<false>(x, p.x_stride, panel, steps, row == 0, sums);
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < kPanelWidth; c += kLanes) {
        float* const out = p.out + (row + r) * p.out_stride + c;
        const __m512 sum = _mm512_load_ps(sums + r * kPanelWidth + c);
        _mm512_storeu_ps(out, p.add_to_out ? _mm512_add_ps(_mm512_loadu_ps(out), sum) : sum);
      }
  }
  _tile_release();  // a thread that holds tiles takes 8 KiB more at each switch to another
}

}  // namespace

const Layout kAmxLayout = {Bfloat16Tiles::PanelBytes, Bfloat16Tiles::Pack, Bfloat16Tiles::Unpack, &kBfloat16Input,
                           Product};

}  // namespace embedded::cpu
