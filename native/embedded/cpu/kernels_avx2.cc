// AVX2, FMA and F16C. Compiled with those flags: include only what kernels.h allows.
#include <immintrin.h>

#include "native/embedded/cpu/block_kernels.h"
#include "native/embedded/cpu/float_layout.h"
#include "native/embedded/cpu/kernels.h"
#include "native/embedded/cpu/vector_kernels.h"

namespace embedded::cpu {
namespace {

constexpr int kLanes = 8;
constexpr int kTileRows = 6;  // 6 x 2 sums, 2 weights and 1 input fit the 16 registers: half a panel at a time
constexpr int kHalfPanel = 2 * kLanes;

struct Pair {
  __m256 low, high;
};

template <PanelType type>
inline __m256 LoadLanes(const void* panel, size_t index) {
  if constexpr (type == PanelType::kFloat32) {
    return _mm256_loadu_ps(static_cast<const float*>(panel) + index);
  } else if constexpr (type == PanelType::kInt8) {
    const void* const at = static_cast<const int8_t*>(panel) + index;
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(at))));
  } else {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(static_cast<const uint16_t*>(panel) + index));
    if constexpr (type == PanelType::kFloat16) return _mm256_cvtph_ps(bits);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
}

template <PanelType type, int rows>
void Tile(const PanelProduct& p, int first_row, int first_column) {
  Pair sums[rows];
#pragma GCC unroll 6
  for (int r = 0; r < rows; ++r) sums[r] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  const float* x = p.x + first_row * p.x_stride;
  for (int d = 0; d < p.depth; ++d) {
    const size_t at = d * p.panel_stride + first_column;
    const Pair weights = {LoadLanes<type>(p.panel, at), LoadLanes<type>(p.panel, at + kLanes)};
#pragma GCC unroll 6
    for (int r = 0; r < rows; ++r) {
      const __m256 input = _mm256_set1_ps(x[d + r * p.x_stride]);
      sums[r].low = _mm256_fmadd_ps(input, weights.low, sums[r].low);
      sums[r].high = _mm256_fmadd_ps(input, weights.high, sums[r].high);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < rows; ++r) {
    float* out = p.out + (first_row + r) * p.out_stride + first_column;
    if (p.add_to_out) {
      sums[r].low = _mm256_add_ps(_mm256_loadu_ps(out), sums[r].low);
      sums[r].high = _mm256_add_ps(_mm256_loadu_ps(out + kLanes), sums[r].high);
    }
    _mm256_storeu_ps(out, sums[r].low);
    _mm256_storeu_ps(out + kLanes, sums[r].high);
  }
}

// One row: all four sums of the panel at once, so that it is read front to back.
template <PanelType type>
void Row(const PanelProduct& p, int row) {
  __m256 sums[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) sums[i] = _mm256_setzero_ps();
  const float* x = p.x + row * p.x_stride;
  for (int d = 0; d < p.depth; ++d) {
    const __m256 input = _mm256_set1_ps(x[d]);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
      sums[i] = _mm256_fmadd_ps(input, LoadLanes<type>(p.panel, d * p.panel_stride + i * kLanes), sums[i]);
  }
  float* out = p.out + row * p.out_stride;
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    if (p.add_to_out) sums[i] = _mm256_add_ps(_mm256_loadu_ps(out + i * kLanes), sums[i]);
    _mm256_storeu_ps(out + i * kLanes, sums[i]);
  }
}

template <PanelType type, int rows>
void LastTile(const PanelProduct& p, int first_row, int rows_left) {
  if constexpr (rows > 1) {
    if (rows_left != rows) return LastTile<type, rows - 1>(p, first_row, rows_left);
    Tile<type, rows>(p, first_row, 0);
    Tile<type, rows>(p, first_row, kHalfPanel);
  } else if (rows_left == 1) {
    Row<type>(p, first_row);
  }
}

template <PanelType type>
void PanelProductOf(const PanelProduct& p) {
  int row = 0;
  for (; row + kTileRows <= p.rows; row += kTileRows) {
    Tile<type, kTileRows>(p, row, 0);
    Tile<type, kTileRows>(p, row, kHalfPanel);
  }
  LastTile<type, kTileRows - 1>(p, row, p.rows - row);
}

template <WeightType type>
constexpr Layout kFloatLayout = FloatLayout<type, PanelProductOf<static_cast<PanelType>(type)>>::kLayout;

struct Avx2 {
  using Float = __m256;
  static constexpr int kLanes = 8;

  static __m256i MaskOf(int count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static Float Set(float x) { return _mm256_set1_ps(x); }
  static Float Load(const float* at, int count, Float otherwise) {
    if (count >= kLanes) return _mm256_loadu_ps(at);
    const __m256i mask = MaskOf(count);
    return _mm256_blendv_ps(otherwise, _mm256_maskload_ps(at, mask), _mm256_castsi256_ps(mask));
  }
  static void Store(float* at, int count, Float x) {
    if (count >= kLanes) return _mm256_storeu_ps(at, x);
    _mm256_maskstore_ps(at, MaskOf(count), x);
  }
  static void StoreFloat16(uint16_t* at, int count, Float x) {
    const __m128i halves = _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __builtin_memcpy(at, &halves, (count < kLanes ? count : kLanes) * sizeof(uint16_t));
  }
  static void StoreInt8(int8_t* at, int count, Float x) {
    const __m256i whole = _mm256_cvtps_epi32(x);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    const __m128i bytes = _mm_packs_epi16(words, words);
    __builtin_memcpy(at, &bytes, count < kLanes ? count : kLanes);
  }
  static Float Add(Float a, Float b) { return _mm256_add_ps(a, b); }
  static Float Sub(Float a, Float b) { return _mm256_sub_ps(a, b); }
  static Float Mul(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float Div(Float a, Float b) { return _mm256_div_ps(a, b); }
  static Float Sqrt(Float x) { return _mm256_sqrt_ps(x); }
  static Float Max(Float a, Float b) { return _mm256_max_ps(a, b); }
  static Float Min(Float a, Float b) { return _mm256_min_ps(a, b); }
  static Float MulAdd(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  static Float NegMulAdd(Float a, Float b, Float c) { return _mm256_fnmadd_ps(a, b, c); }
  static Float Round(Float x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // In two halves: n may be 128, and there is no float of 2^128.
  static Float TimesPowerOfTwo(Float x, Float n) {
    const __m256i whole = _mm256_cvtps_epi32(n);
    const __m256i half = _mm256_srai_epi32(whole, 1);
    return Mul(Mul(x, PowerOfTwo(half)), PowerOfTwo(_mm256_sub_epi32(whole, half)));
  }
  static Float PowerOfTwo(__m256i n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
  }
  static Float KeepWhere(Float x, Float y, float least) {
    return _mm256_and_ps(x, _mm256_cmp_ps(y, Set(least), _CMP_NLT_UQ));
  }
  static float SumLanes(Float x) {
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
  }
  static float MaxLane(Float x) {
    __m128 max = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    max = _mm_max_ps(max, _mm_movehl_ps(max, max));
    return _mm_cvtss_f32(_mm_max_ss(max, _mm_movehdup_ps(max)));
  }
  static float First(Float x) { return _mm256_cvtss_f32(x); }
};

using Vectors = VectorKernels<Avx2>;

// Products of bytes go to 16 bits, pairs added up.
struct Avx2Blocks {
  using Float = __m256;
  using Ints = __m256i;
  using Bytes = __m256i;
  using Sums = __m256i;
  static constexpr int kLanes = 8;
  static constexpr int kTileRows = 4;

  static Float Zero() { return _mm256_setzero_ps(); }
  static Float Set(float x) { return _mm256_set1_ps(x); }
  static Float Mul(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float Add(Float a, Float b) { return _mm256_add_ps(a, b); }
  static Float MulAdd(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  static Float NegMulAdd(Float a, Float b, Float c) { return _mm256_fnmadd_ps(a, b, c); }
  static Float Load(const float* at) { return _mm256_loadu_ps(at); }
  static void Store(float* at, Float x) { _mm256_storeu_ps(at, x); }
  static Float FromHalf(const uint16_t* at) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
  }

  static Ints ZeroInts() { return _mm256_setzero_si256(); }
  static Ints Broadcast(const int32_t* at) { return _mm256_set1_epi32(*at); }
  template <int n>
  static Ints Shift(Ints x) {
    if constexpr (n < 0)
      return _mm256_srli_epi32(x, -n);
    else
      return _mm256_slli_epi32(x, n);
  }
  static Ints ShiftInts(Ints x, int n) { return _mm256_srl_epi32(x, _mm_cvtsi32_si128(n)); }
  static Ints AndInts(Ints x, int mask) { return _mm256_and_si256(x, _mm256_set1_epi32(mask)); }
  static Ints OrInts(Ints a, Ints b) { return _mm256_or_si256(a, b); }
  static Float ToFloat(Ints x) { return _mm256_cvtepi32_ps(x); }
  static Ints FromBytes(const uint8_t* at) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)));
  }
  static Ints FromSignedBytes(const int8_t* at) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)));
  }

  static Bytes LoadBytes(const uint8_t* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); }
  static Bytes AndBytes(Bytes x, uint8_t mask) {
    return _mm256_and_si256(x, _mm256_set1_epi8(static_cast<char>(mask)));
  }
  static Bytes OrBytes(Bytes a, Bytes b) { return _mm256_or_si256(a, b); }
  template <int n>
  static Bytes ShiftBytes(Bytes x) {
    if constexpr (n < 0) return _mm256_srli_epi16(x, -n);
    if constexpr (n > 0) return _mm256_slli_epi16(x, n);
    return x;
  }
  static Bytes OrWhere(Bytes x, const uint8_t* bits, uint8_t value) {
    int mask;
    __builtin_memcpy(&mask, bits, sizeof(mask));
    // Each byte gets the eight bits that its own is in, and keeps its own.
    const __m256i eights = _mm256_shuffle_epi8(
        _mm256_set1_epi32(mask), _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303));
    const __m256i own = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201));
    const __m256i is_set = _mm256_cmpeq_epi8(_mm256_and_si256(eights, own), own);
    return _mm256_or_si256(x, AndBytes(is_set, value));
  }

  template <int bits>
  static constexpr bool kSumsAreInts = bits == 8;
  template <int bits>
  static constexpr bool kDotTakesOffset = bits == 8;
  template <int bits>
  static constexpr int kDots = bits <= 4   ? 8
                               : bits == 5 ? 4
                                           : 2;  // 2 * 127 * (2^bits - 1) of them are below 2^15
  static Sums ZeroSums() { return _mm256_setzero_si256(); }
  static Ints LoadInput(const int8_t* at) {
    int four;
    __builtin_memcpy(&four, at, sizeof(four));
    return _mm256_set1_epi32(four);
  }
  template <int bits>
  static __m256i Dot(__m256i sums, Bytes weights, Ints input) {
    if constexpr (bits < 8) return _mm256_add_epi16(sums, _mm256_maddubs_epi16(weights, input));
    // Less their offset, 128, weights have signs, which the inputs take over.
    const __m256i with_sign = _mm256_xor_si256(weights, _mm256_set1_epi8(-128));
    return AddSums(sums, _mm256_maddubs_epi16(_mm256_abs_epi8(with_sign), _mm256_sign_epi8(input, with_sign)));
  }
  static Ints AddSums(Ints ints, Sums sums) {
    return _mm256_add_epi32(ints, _mm256_madd_epi16(sums, _mm256_set1_epi16(1)));
  }

  static uint32_t MaxMagnitude(const float* at) {
    const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
    const __m256i eight = _mm256_max_epi32(_mm256_and_si256(_mm256_castps_si256(Load(at)), magnitude),
                                           _mm256_and_si256(_mm256_castps_si256(Load(at + 8)), magnitude));
    __m128i max = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    max = _mm_max_epi32(max, _mm_shuffle_epi32(max, 0x4E));
    max = _mm_max_epi32(max, _mm_shuffle_epi32(max, 0xB1));
    return static_cast<uint32_t>(_mm_cvtsi128_si32(max));
  }
  static int Quantize(const float* at, float factor, int8_t* out) {
    const __m256i low = _mm256_cvtps_epi32(Mul(Load(at), Set(factor)));
    const __m256i high = _mm256_cvtps_epi32(Mul(Load(at + 8), Set(factor)));
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
    const __m128i more = _mm_packs_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_packs_epi16(words, more));
    const __m256i sums = _mm256_add_epi32(low, high);
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1));
    return _mm_cvtsi128_si32(sum);
  }
};

constexpr Kernels AllOf(Kernels kernels) {
  BlockKernels<Avx2Blocks>::SetLayouts(kernels.layouts);
  return kernels;
}

}  // namespace

const Kernels kAvx2Kernels = AllOf(
    {"avx2",
     {&kFloatLayout<WeightType::kFloat32>, &kFloatLayout<WeightType::kFloat16>, &kFloatLayout<WeightType::kBfloat16>},
     {PanelProductOf<PanelType::kFloat32>, PanelProductOf<PanelType::kFloat16>, PanelProductOf<PanelType::kBfloat16>,
      PanelProductOf<PanelType::kInt8>},
     Vectors::RmsNorm,
     Vectors::SiluMultiply,
     Vectors::SoftmaxBlock,
     Vectors::Scale,
     Vectors::Max,
     Vectors::ExpShifted,
     Vectors::ToFloat16,
     Vectors::MaxMagnitude,
     Vectors::ToInt8,
     &kAvx2ScaledLayouts});

}  // namespace embedded::cpu
