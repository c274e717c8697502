// AVX-512 (F, BW, VL, DQ). Compiled with those flags: include only what kernels.h allows.
#include <immintrin.h>

#include "native/embedded/cpu/bfloat16_tiles.h"
#include "native/embedded/cpu/block_kernels.h"
#include "native/embedded/cpu/block_vectors_avx512.h"
#include "native/embedded/cpu/float_layout.h"
#include "native/embedded/cpu/kernels.h"
#include "native/embedded/cpu/vector_kernels.h"

namespace embedded::cpu {
namespace {

constexpr int kLanes = 16;
constexpr int kTileRows = 12;            // 12 x 2 sums, 2 weights and 1 input fit the 32 registers
constexpr size_t kPrefetchBytes = 4096;  // the hardware's prefetcher stops at each page of 4 KiB; this looks past it

struct Pair {
  __m512 low, high;  // columns 0 to 15 and 16 to 31
};

template <PanelType type>
inline Pair LoadWeights(const void* panel, size_t index) {
  if constexpr (type == PanelType::kFloat32) {
    const float* at = static_cast<const float*>(panel) + index;
    return {_mm512_loadu_ps(at), _mm512_loadu_ps(at + kLanes)};
  } else if constexpr (type == PanelType::kInt8) {
    const auto* at = reinterpret_cast<const __m128i*>(static_cast<const int8_t*>(panel) + index);
    return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(at))),
            _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(at + 1)))};
  } else {
    const uint16_t* at = static_cast<const uint16_t*>(panel) + index;
    const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + kLanes));
    if constexpr (type == PanelType::kFloat16) return {_mm512_cvtph_ps(low), _mm512_cvtph_ps(high)};
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(low), 16)),
            _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16))};
  }
}

template <PanelType type, int rows>
void Tile(const PanelProduct& p, int first_row) {
  constexpr size_t kElementBytes = type == PanelType::kFloat32 ? 4 : type == PanelType::kInt8 ? 1 : 2;
  Pair sums[rows];
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) sums[r] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  // Every third row has a pointer of its own; the two after it are one and two strides away, which x86 addresses can
  // say.
  const float* x[(rows + 2) / 3];
#pragma GCC unroll 4
  for (int i = 0; i < (rows + 2) / 3; ++i) x[i] = p.x + (first_row + 3 * i) * p.x_stride;
  for (int d = 0; d < p.depth; ++d) {
    const size_t at = d * p.panel_stride;
    _mm_prefetch(static_cast<const char*>(p.panel) + at * kElementBytes + kPrefetchBytes, _MM_HINT_T0);
    const Pair weights = LoadWeights<type>(p.panel, at);
#pragma GCC unroll 12
    for (int r = 0; r < rows; ++r) {
      const __m512 input = _mm512_set1_ps(x[r / 3][d + (r % 3) * p.x_stride]);
      sums[r].low = _mm512_fmadd_ps(input, weights.low, sums[r].low);
      sums[r].high = _mm512_fmadd_ps(input, weights.high, sums[r].high);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) {
    float* out = p.out + (first_row + r) * p.out_stride;
    if (p.add_to_out) {
      sums[r].low = _mm512_add_ps(_mm512_loadu_ps(out), sums[r].low);
      sums[r].high = _mm512_add_ps(_mm512_loadu_ps(out + kLanes), sums[r].high);
    }
    _mm512_storeu_ps(out, sums[r].low);
    _mm512_storeu_ps(out + kLanes, sums[r].high);
  }
}

template <PanelType type, int rows>
void LastTile(const PanelProduct& p, int first_row, int rows_left) {
  if constexpr (rows > 0) {
    if (rows_left == rows) return Tile<type, rows>(p, first_row);
    LastTile<type, rows - 1>(p, first_row, rows_left);
  }
}

template <PanelType type>
void PanelProductOf(const PanelProduct& p) {
  int row = 0;
  for (; row + kTileRows <= p.rows; row += kTileRows) Tile<type, kTileRows>(p, row);
  LastTile<type, kTileRows - 1>(p, row, p.rows - row);
}

template <WeightType type>
constexpr Layout kFloatLayout = FloatLayout<type, PanelProductOf<static_cast<PanelType>(type)>>::kLayout;

struct Avx512 {
  using Float = __m512;
  static constexpr int kLanes = 16;

  static __mmask16 MaskOf(int count) {
    return count >= kLanes ? 0xFFFF : count <= 0 ? 0 : static_cast<__mmask16>((1u << count) - 1);
  }
  static Float Set(float x) { return _mm512_set1_ps(x); }
  static Float Load(const float* at, int count, Float otherwise) {
    return _mm512_mask_loadu_ps(otherwise, MaskOf(count), at);
  }
  static void Store(float* at, int count, Float x) { _mm512_mask_storeu_ps(at, MaskOf(count), x); }
  static void StoreFloat16(uint16_t* at, int count, Float x) {
    _mm256_mask_storeu_epi16(at, MaskOf(count), _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static void StoreInt8(int8_t* at, int count, Float x) {
    _mm512_mask_cvtsepi32_storeu_epi8(at, MaskOf(count), _mm512_cvtps_epi32(x));
  }
  static Float Add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float Sub(Float a, Float b) { return _mm512_sub_ps(a, b); }
  static Float Mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float Div(Float a, Float b) { return _mm512_div_ps(a, b); }
  static Float Sqrt(Float x) { return _mm512_sqrt_ps(x); }
  static Float Max(Float a, Float b) { return _mm512_max_ps(a, b); }
  static Float Min(Float a, Float b) { return _mm512_min_ps(a, b); }
  static Float MulAdd(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float NegMulAdd(Float a, Float b, Float c) { return _mm512_fnmadd_ps(a, b, c); }
  static Float Round(Float x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static Float TimesPowerOfTwo(Float x, Float n) { return _mm512_scalef_ps(x, n); }
  static Float KeepWhere(Float x, Float y, float least) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(y, Set(least), _CMP_NLT_UQ), x);
  }
  static float SumLanes(Float x) { return _mm512_reduce_add_ps(x); }
  static float MaxLane(Float x) { return _mm512_reduce_max_ps(x); }
  static float First(Float x) { return _mm512_cvtss_f32(x); }
};

using Vectors = VectorKernels<Avx512>;

// Products of bytes go to 16 bits, pairs added up.
struct Avx512BwBlocks : Avx512Blocks {
  using Sums = __m512i;
  static constexpr int kTileRows = 4;
  template <int bits>
  static constexpr bool kSumsAreInts = bits == 8;
  template <int bits>
  static constexpr bool kDotTakesOffset = bits == 8;
  template <int bits>
  static constexpr int kDots = bits <= 4   ? 8
                               : bits == 5 ? 4
                                           : 2;  // 2 * 127 * (2^bits - 1) of them are below 2^15
  static Sums ZeroSums() { return _mm512_setzero_si512(); }
  template <int bits>
  static __m512i Dot(__m512i sums, Bytes weights, Ints input) {
    if constexpr (bits < 8) return _mm512_add_epi16(sums, _mm512_maddubs_epi16(weights, input));
    // Less their offset, 128, weights have signs, which the inputs take over.
    const __m512i with_sign = _mm512_xor_si512(weights, _mm512_set1_epi8(-128));
    const __m512i zero = _mm512_setzero_si512();
    const __m512i signed_input = _mm512_mask_sub_epi8(input, _mm512_movepi8_mask(with_sign), zero, input);
    return AddSums(sums, _mm512_maddubs_epi16(_mm512_abs_epi8(with_sign), signed_input));
  }
  static Ints AddSums(Ints ints, Sums sums) {
    return _mm512_add_epi32(ints, _mm512_madd_epi16(sums, _mm512_set1_epi16(1)));
  }
};

// The sets for newer processors are this one but for a layout.
constexpr Kernels SetOf(const char* name, const Layout* bfloat16) {
  Kernels kernels = {name,
                     {&kFloatLayout<WeightType::kFloat32>, &kFloatLayout<WeightType::kFloat16>, bfloat16},
                     {PanelProductOf<PanelType::kFloat32>, PanelProductOf<PanelType::kFloat16>,
                      PanelProductOf<PanelType::kBfloat16>, PanelProductOf<PanelType::kInt8>},
                     Vectors::RmsNorm,
                     Vectors::SiluMultiply,
                     Vectors::SoftmaxBlock,
                     Vectors::Scale,
                     Vectors::Max,
                     Vectors::ExpShifted,
                     Vectors::ToFloat16,
                     Vectors::MaxMagnitude,
                     Vectors::ToInt8,
                     &kAvx512ScaledLayouts};
  BlockKernels<Avx512BwBlocks>::SetLayouts(kernels.layouts);
  return kernels;
}

}  // namespace

const Kernels kAvx512Kernels = SetOf("avx512", &kFloatLayout<WeightType::kBfloat16>);
const Kernels kAvx512Bf16Kernels = SetOf("avx512_bf16", &kAvx512Bf16Layout);
const Kernels kAmxKernels = SetOf("amx", &kAmxLayout);

}  // namespace embedded::cpu
