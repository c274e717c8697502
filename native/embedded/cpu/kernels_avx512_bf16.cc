// AVX512-BF16. Compiled with that flag: include only what kernels.h allows.
#include <immintrin.h>
#include <string.h>

#include "native/embedded/cpu/bfloat16_tiles.h"

namespace embedded::cpu {
namespace {

constexpr int kLanes = 16;
constexpr int kTileRows = 12;            // 12 x 2 sums, 2 weights and 1 input fit the 32 registers
constexpr size_t kPrefetchBytes = 4096;  // the hardware's prefetcher stops at each page of 4 KiB; this looks past it
constexpr int kPairs = Bfloat16Tiles::kStep / 2;

// An odd number of cache lines: the rows of a tile then lie in different sets of the cache.
size_t RowBytes(int depth) { return (Bfloat16Tiles::Steps(depth) | 1) * size_t{64}; }

void Prepare(const float* x, int depth, void* out) {
  auto* to = static_cast<char*>(out);
  for (int d = 0; d < depth; d += Bfloat16Tiles::kStep) {
    const int left = depth - d;
    const auto load = [&](int skip) {
      const int count = left - skip;
      return _mm512_maskz_loadu_ps(count >= kLanes ? 0xFFFF : count <= 0 ? 0 : (1u << count) - 1, x + d + skip);
    };
    const __m512bh values = _mm512_cvtne2ps_pbh(load(kLanes), load(0));
    memcpy(to + d * sizeof(uint16_t), &values, sizeof(values));
  }
}

// `steps` of the depth, from the first ones that `x` and `panel` point to.
struct Slice {
  const char* x;
  size_t x_stride;  // bytes
  const char* panel;
  float* out;
  size_t out_stride;  // floats
  int steps;
  bool add_to_out;
};

inline __m512bh LoadPairs(const char* at) {
  __m512bh pairs;
  memcpy(&pairs, at, sizeof(pairs));
  return pairs;
}

inline __m512bh BroadcastPair(const char* at) {
  int32_t pair;
  memcpy(&pair, at, sizeof(pair));
  const __m512i pairs = _mm512_set1_epi32(pair);
  __m512bh typed;
  memcpy(&typed, &pairs, sizeof(typed));
  return typed;
}

template <int rows>
void Tile(const Slice& slice, int first_row) {
  __m512 low[rows], high[rows];
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) low[r] = high[r] = _mm512_setzero_ps();
  // Every third row has a pointer of its own; the two after it are one and two strides away, which x86 addresses can
  // say.
  const char* x[(rows + 2) / 3];
#pragma GCC unroll 4
  for (int i = 0; i < (rows + 2) / 3; ++i) x[i] = slice.x + (first_row + 3 * i) * slice.x_stride;
  const char* panel = slice.panel;
  for (int step = 0; step < slice.steps; ++step, panel += Bfloat16Tiles::kStepBytes)
    for (int pair = 0; pair < kPairs; ++pair) {
      const char* const at = panel + pair * 64;
      _mm_prefetch(at + kPrefetchBytes, _MM_HINT_T0);
      _mm_prefetch(at + Bfloat16Tiles::kHalfBytes + kPrefetchBytes, _MM_HINT_T0);
      const __m512bh low_weights = LoadPairs(at);
      const __m512bh high_weights = LoadPairs(at + Bfloat16Tiles::kHalfBytes);
      const size_t offset = step * size_t{64} + pair * 4;
#pragma GCC unroll 12
      for (int r = 0; r < rows; ++r) {
        const __m512bh input = BroadcastPair(x[r / 3] + offset + (r % 3) * slice.x_stride);
        low[r] = _mm512_dpbf16_ps(low[r], input, low_weights);
        high[r] = _mm512_dpbf16_ps(high[r], input, high_weights);
      }
    }
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) {
    float* const out = slice.out + (first_row + r) * slice.out_stride;
    if (slice.add_to_out) {
      low[r] = _mm512_add_ps(_mm512_loadu_ps(out), low[r]);
      high[r] = _mm512_add_ps(_mm512_loadu_ps(out + kLanes), high[r]);
    }
    _mm512_storeu_ps(out, low[r]);
    _mm512_storeu_ps(out + kLanes, high[r]);
  }
}

template <int rows>
void LastTile(const Slice& slice, int first_row, int rows_left) {
  if constexpr (rows > 0) {
    if (rows_left == rows) return Tile<rows>(slice, first_row);
    LastTile<rows - 1>(slice, first_row, rows_left);
  }
}

void Product(const LayoutProduct& p) {
  constexpr int kStepsPerSum = kDepthPerSum / Bfloat16Tiles::kStep;
  const int steps = Bfloat16Tiles::Steps(p.depth);
  for (int step = 0; step < steps; step += kStepsPerSum) {
    const int left = steps - step;
    const Slice slice{static_cast<const char*>(p.x) + step * size_t{64},
                      p.x_stride,
                      static_cast<const char*>(p.panel) + step * Bfloat16Tiles::kStepBytes,
                      p.out,
                      p.out_stride,
                      left < kStepsPerSum ? left : kStepsPerSum,
                      p.add_to_out || step > 0};
    int row = 0;
    for (; row + kTileRows <= p.rows; row += kTileRows) Tile<kTileRows>(slice, row);
    LastTile<kTileRows - 1>(slice, row, p.rows - row);
  }
}

}  // namespace

const InputForm kBfloat16Input = {RowBytes, Prepare};
const Layout kAvx512Bf16Layout = {Bfloat16Tiles::PanelBytes, Bfloat16Tiles::Pack, Bfloat16Tiles::Unpack,
                                  &kBfloat16Input, Product};

}  // namespace embedded::cpu
