// Matrices in ggml's blocks: the panels they are stored as, and the input that is multiplied with them. Rules of inclusion:
// kernels.h.
//
// Within a block a weight is scale * (q - offset) - min, where q is a number of 2 to 8 bits without a sign, and scale and
// min are those of its group of 16 or 32 weights. A panel has the bits that the file has in another order: those of 32
// rows lie side by side, so that an instruction takes four inputs of 16 outputs at once. Sources of what a block holds:
// the structs of ggml-common.h in github.com/ggml-org/ggml.
#ifndef EMBEDDED_CPU_BLOCKS_H_
#define EMBEDDED_CPU_BLOCKS_H_

#include "native/embedded/cpu/kernels.h"

namespace embedded::cpu {

constexpr int kBlockDepth = 32;              // inputs that are multiplied with whole numbers, and then scaled
constexpr int kFours = kBlockDepth / 4;      // of inputs in a block
constexpr int kHalfPanel = kPanelWidth / 2;  // outputs
constexpr int kFourBytes = 4 * kHalfPanel;   // a byte for each of four inputs and half of the outputs
constexpr int kBlocksPerSum = kDepthPerSum / kBlockDepth;

// The q of 32 inputs and 32 outputs. "Four" f is of inputs 4 * f to 4 * f + 3; its byte 4 * (output % 16) + input % 4
// belongs to two outputs, 16 apart: h is output / 16.
template <int bits>
struct Quants;
template <>
struct Quants<2> {
  uint8_t twos[kFours / 2][kFourBytes];  // [f / 2], at bit 4 * (f % 2) + 2 * h
};
template <>
struct Quants<3> {
  uint8_t twos[kFours / 2][kFourBytes];
  uint8_t ones[kFours][2][kFourBytes / 8];  // [f][h], a bit for each byte of the four; the highest bit of q
};
template <>
struct Quants<4> {
  uint8_t fours[kFours][kFourBytes];  // [f], at bit 4 * h
};
template <>
struct Quants<5> {
  uint8_t fours[kFours][kFourBytes];
  uint8_t ones[kFours][2][kFourBytes / 8];
};
template <>
struct Quants<6> {
  uint8_t fours[kFours][kFourBytes];
  uint8_t twos[kFours / 2][kFourBytes];  // the highest bits of q
};
template <>
struct Quants<8> {
  uint8_t bytes[kFours][2][kFourBytes];  // [f][h]
};

// Scales and mins of 32 outputs, as each type has them; `scale` and `min` are fp16.
struct OneScale {
  static constexpr int kBlocks = 1;
  static constexpr bool kHasMin = false;
  uint16_t scale[kPanelWidth];
};
struct OneScaleAndMin {  // here the min is added
  static constexpr int kBlocks = 1;
  static constexpr bool kHasMin = true;
  uint16_t scale[kPanelWidth];
  uint16_t min[kPanelWidth];
};
// The others are of 256 inputs, and a group's scale is `scale` times a whole number, its min `min` times another.
struct SixBitScalesAndMins {
  static constexpr int kBlocks = 8;
  static constexpr bool kHasMin = true;
  uint16_t scale[kPanelWidth];
  uint16_t min[kPanelWidth];
  uint8_t packed[12][kPanelWidth];
};
struct FourBitScalesAndMins {
  static constexpr int kBlocks = 8;
  static constexpr bool kHasMin = true;
  uint16_t scale[kPanelWidth];
  uint16_t min[kPanelWidth];
  uint8_t packed[16][kPanelWidth];
};
struct SixBitScales {
  static constexpr int kBlocks = 8;
  static constexpr bool kHasMin = false;
  uint16_t scale[kPanelWidth];
  uint8_t packed[12][kPanelWidth];
};
struct EightBitScales {
  static constexpr int kBlocks = 8;
  static constexpr bool kHasMin = false;
  uint16_t scale[kPanelWidth];
  int8_t packed[16][kPanelWidth];
};

template <WeightType type, typename ScalesOf, int bits, int offset, int group>
struct BlockType {
  using Scales = ScalesOf;
  static constexpr WeightType kType = type;
  static constexpr int kBits = bits;
  static constexpr int kOffset = offset;  // 0 or a power of two
  static constexpr int kGroup = group;    // inputs
};

using Q4_0 = BlockType<WeightType::kQ4_0, OneScale, 4, 8, 32>;
using Q4_1 = BlockType<WeightType::kQ4_1, OneScaleAndMin, 4, 0, 32>;
using Q5_0 = BlockType<WeightType::kQ5_0, OneScale, 5, 16, 32>;
using Q5_1 = BlockType<WeightType::kQ5_1, OneScaleAndMin, 5, 0, 32>;
using Q8_0 = BlockType<WeightType::kQ8_0, OneScale, 8, 128, 32>;
using Q2_K = BlockType<WeightType::kQ2_K, FourBitScalesAndMins, 2, 0, 16>;
using Q3_K = BlockType<WeightType::kQ3_K, SixBitScales, 3, 4, 16>;
using Q4_K = BlockType<WeightType::kQ4_K, SixBitScalesAndMins, 4, 0, 32>;
using Q5_K = BlockType<WeightType::kQ5_K, SixBitScalesAndMins, 5, 0, 32>;
using Q6_K = BlockType<WeightType::kQ6_K, EightBitScales, 6, 32, 16>;

// A block of a column as plain numbers.
struct ColumnBlock {
  uint8_t q[kBlockDepth];
  float scales[2];  // of inputs 0 to 15 and 16 to 31
  float mins[2];
};

// A panel of a matrix is these, one after the other.
template <typename Type>
struct BlockPanel {
  static constexpr int kBlocks = Type::Scales::kBlocks;  // of kBlockDepth inputs

  typename Type::Scales scales;
  Quants<Type::kBits> quants[kBlocks];

  ColumnBlock Read(int block, int column) const;

  // For Layout.
  static size_t Bytes(int depth);
  static void Pack(const void* rows, int row_count, int depth, void* panel);
  static void Unpack(const void* panel, int column, int depth, float* out);
};

// 32 inputs as whole numbers: x[i] is about values[i] * scale. A block with an infinity or NaN has NaN for scale.
struct alignas(64) InputBlock {
  int8_t values[kBlockDepth];  // -127 to 127
  float scale;
  int32_t minus_sums[3];  // of values: of the first 16, the last 16, and all
  float scaled_sums[3];   // the sums of the same, times scale
};
// Below this the largest input of a block counts as 0.
constexpr float kLeastInput = 0x1p-100f;

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_BLOCKS_H_
