#include "native/embedded/cpu/blocks.h"

#include <cstring>

#include "native/embedded/cpu/float16.h"

namespace embedded::cpu {
namespace {

// The byte of a four.
int PlaceOf(int column, int input) { return 4 * (column % kHalfPanel) + input % 4; }

void PutTwo(uint8_t (*twos)[kFourBytes], int column, int input, unsigned q) {
  const int four = input / 4, half = column / kHalfPanel;
  twos[four / 2][PlaceOf(column, input)] |= static_cast<uint8_t>((q & 3) << (four % 2 * 4 + half * 2));
}
unsigned GetTwo(const uint8_t (*twos)[kFourBytes], int column, int input) {
  const int four = input / 4, half = column / kHalfPanel;
  return twos[four / 2][PlaceOf(column, input)] >> (four % 2 * 4 + half * 2) & 3u;
}

void PutOne(uint8_t (*ones)[2][kFourBytes / 8], int column, int input, unsigned q) {
  const int place = PlaceOf(column, input);
  ones[input / 4][column / kHalfPanel][place / 8] |= static_cast<uint8_t>((q & 1) << (place % 8));
}
unsigned GetOne(const uint8_t (*ones)[2][kFourBytes / 8], int column, int input) {
  const int place = PlaceOf(column, input);
  return ones[input / 4][column / kHalfPanel][place / 8] >> (place % 8) & 1u;
}

void PutFour(uint8_t (*fours)[kFourBytes], int column, int input, unsigned q) {
  fours[input / 4][PlaceOf(column, input)] |= static_cast<uint8_t>((q & 15) << (column / kHalfPanel * 4));
}
unsigned GetFour(const uint8_t (*fours)[kFourBytes], int column, int input) {
  return fours[input / 4][PlaceOf(column, input)] >> (column / kHalfPanel * 4) & 15u;
}

template <int bits>
void Put(Quants<bits>* quants, int column, int input, unsigned q) {
  if constexpr (bits == 8)
    quants->bytes[input / 4][column / kHalfPanel][PlaceOf(column, input)] = static_cast<uint8_t>(q);
  if constexpr (bits == 4 || bits == 5 || bits == 6) PutFour(quants->fours, column, input, q);
  if constexpr (bits == 2 || bits == 3) PutTwo(quants->twos, column, input, q);
  if constexpr (bits == 3 || bits == 5) PutOne(quants->ones, column, input, q >> (bits - 1));
  if constexpr (bits == 6) PutTwo(quants->twos, column, input, q >> 4);
}

template <int bits>
unsigned Get(const Quants<bits>& quants, int column, int input) {
  if constexpr (bits == 8) return quants.bytes[input / 4][column / kHalfPanel][PlaceOf(column, input)];
  if constexpr (bits == 2) return GetTwo(quants.twos, column, input);
  if constexpr (bits == 3) return GetTwo(quants.twos, column, input) | GetOne(quants.ones, column, input) << 2;
  if constexpr (bits == 4) return GetFour(quants.fours, column, input);
  if constexpr (bits == 5) return GetFour(quants.fours, column, input) | GetOne(quants.ones, column, input) << 4;
  if constexpr (bits == 6) return GetFour(quants.fours, column, input) | GetTwo(quants.twos, column, input) << 4;
}

// q of each weight of a block of the file.
void ReadQ4(const uint8_t* nibbles, uint8_t* q) {
  for (int i = 0; i < 16; ++i) {
    q[i] = nibbles[i] & 15;
    q[i + 16] = nibbles[i] >> 4;
  }
}
void AddFifthBits(const uint8_t* bits, uint8_t* q) {
  for (int i = 0; i < 32; ++i) q[i] |= static_cast<uint8_t>((bits[i / 8] >> (i % 8) & 1) << 4);
}
// Of 256: pieces of 64 share 32 bytes.
void ReadQ4OfLong(const uint8_t* nibbles, uint8_t* q) {
  for (int i = 0; i < 256; ++i) q[i] = nibbles[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15;
}
// Pieces of 128 share 32 bytes.
void ReadQ2OfLong(const uint8_t* twos, uint8_t* q) {
  for (int i = 0; i < 256; ++i) q[i] = twos[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
}

void PutHalf(const uint8_t* from, uint16_t* to) { std::memcpy(to, from, sizeof(*to)); }
template <typename Byte, int count>
void PutBytes(const uint8_t* from, int column, Byte (*to)[kPanelWidth]) {
  for (int i = 0; i < count; ++i) to[i][column] = static_cast<Byte>(from[i]);
}

// One block of a row: its scales to the panel, its numbers to q.
template <typename Type>
void ReadFileBlock(const uint8_t* block, int column, typename Type::Scales* scales, uint8_t* q) {
  constexpr WeightType type = Type::kType;
  if constexpr (type == WeightType::kQ4_0 || type == WeightType::kQ5_0 || type == WeightType::kQ8_0)
    PutHalf(block, &scales->scale[column]);
  if constexpr (type == WeightType::kQ4_1 || type == WeightType::kQ5_1 || type == WeightType::kQ4_K ||
                type == WeightType::kQ5_K) {
    PutHalf(block, &scales->scale[column]);
    PutHalf(block + 2, &scales->min[column]);
  }
  if constexpr (type == WeightType::kQ4_0) ReadQ4(block + 2, q);
  if constexpr (type == WeightType::kQ4_1) ReadQ4(block + 4, q);
  if constexpr (type == WeightType::kQ5_0) {
    ReadQ4(block + 6, q);
    AddFifthBits(block + 2, q);
  }
  if constexpr (type == WeightType::kQ5_1) {
    ReadQ4(block + 8, q);
    AddFifthBits(block + 4, q);
  }
  if constexpr (type == WeightType::kQ8_0)
    for (int i = 0; i < 32; ++i) q[i] = block[2 + i] ^ 0x80;
  if constexpr (type == WeightType::kQ2_K) {
    PutBytes<uint8_t, 16>(block, column, scales->packed);
    ReadQ2OfLong(block + 16, q);
    PutHalf(block + 80, &scales->scale[column]);
    PutHalf(block + 82, &scales->min[column]);
  }
  if constexpr (type == WeightType::kQ3_K) {
    ReadQ2OfLong(block + 32, q);
    for (int i = 0; i < 256; ++i) q[i] |= static_cast<uint8_t>((block[i % 32] >> (i / 32) & 1) << 2);
    PutBytes<uint8_t, 12>(block + 96, column, scales->packed);
    PutHalf(block + 108, &scales->scale[column]);
  }
  if constexpr (type == WeightType::kQ4_K) {
    PutBytes<uint8_t, 12>(block + 4, column, scales->packed);
    ReadQ4OfLong(block + 16, q);
  }
  if constexpr (type == WeightType::kQ5_K) {
    PutBytes<uint8_t, 12>(block + 4, column, scales->packed);
    ReadQ4OfLong(block + 48, q);
    for (int i = 0; i < 256; ++i) q[i] |= static_cast<uint8_t>((block[16 + i % 32] >> (i / 32) & 1) << 4);
  }
  if constexpr (type == WeightType::kQ6_K) {
    for (int i = 0; i < 256; ++i) {
      const int low = block[i / 128 * 64 + i % 64] >> (i % 128 / 64 * 4) & 15;
      const int high = block[128 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
      q[i] = static_cast<uint8_t>(low | high << 4);
    }
    PutBytes<int8_t, 16>(block + 192, column, scales->packed);
    PutHalf(block + 208, &scales->scale[column]);
  }
}

// Of a group of a column.
float ScaleOf(const OneScale& scales, int, int column) { return Float16ToFloat(scales.scale[column]); }
float MinOf(const OneScale&, int, int) { return 0; }

float ScaleOf(const OneScaleAndMin& scales, int, int column) { return Float16ToFloat(scales.scale[column]); }
float MinOf(const OneScaleAndMin& scales, int, int column) { return -Float16ToFloat(scales.min[column]); }

float ScaleOf(const SixBitScalesAndMins& scales, int group, int column) {
  const auto byte = [&](int i) { return scales.packed[i][column]; };
  const int whole = group < 4 ? byte(group) & 63 : (byte(group + 4) & 15) | byte(group - 4) >> 6 << 4;
  return Float16ToFloat(scales.scale[column]) * static_cast<float>(whole);
}
float MinOf(const SixBitScalesAndMins& scales, int group, int column) {
  const auto byte = [&](int i) { return scales.packed[i][column]; };
  const int whole = group < 4 ? byte(group + 4) & 63 : byte(group + 4) >> 4 | byte(group) >> 6 << 4;
  return Float16ToFloat(scales.min[column]) * static_cast<float>(whole);
}

float ScaleOf(const FourBitScalesAndMins& scales, int group, int column) {
  return Float16ToFloat(scales.scale[column]) * static_cast<float>(scales.packed[group][column] & 15);
}
float MinOf(const FourBitScalesAndMins& scales, int group, int column) {
  return Float16ToFloat(scales.min[column]) * static_cast<float>(scales.packed[group][column] >> 4);
}

float ScaleOf(const SixBitScales& scales, int group, int column) {
  const int low = scales.packed[group % 8][column] >> (group / 8 * 4) & 15;
  const int high = scales.packed[8 + group % 4][column] >> (group / 4 * 2) & 3;
  return Float16ToFloat(scales.scale[column]) * static_cast<float>((low | high << 4) - 32);
}
float MinOf(const SixBitScales&, int, int) { return 0; }

float ScaleOf(const EightBitScales& scales, int group, int column) {
  return Float16ToFloat(scales.scale[column]) * static_cast<float>(scales.packed[group][column]);
}
float MinOf(const EightBitScales&, int, int) { return 0; }

}  // namespace

template <typename Type>
ColumnBlock BlockPanel<Type>::Read(int block, int column) const {
  ColumnBlock out;
  for (int i = 0; i < kBlockDepth; ++i) out.q[i] = static_cast<uint8_t>(Get(quants[block], column, i));
  for (int i = 0; i < 2; ++i) {
    const int group = (block * kBlockDepth + i * 16) / Type::kGroup;
    out.scales[i] = ScaleOf(scales, group, column);
    out.mins[i] = MinOf(scales, group, column);
  }
  return out;
}

template <typename Type>
size_t BlockPanel<Type>::Bytes(int depth) {
  static_assert(sizeof(BlockPanel) % 64 == 0);
  return static_cast<size_t>(depth / (kBlocks * kBlockDepth)) * sizeof(BlockPanel);
}

template <typename Type>
void BlockPanel<Type>::Pack(const void* rows, int row_count, int depth, void* panel) {
  constexpr int kDepth = kBlocks * kBlockDepth;
  const int block_bytes = BlockOf(Type::kType).bytes;
  auto* block = static_cast<const uint8_t*>(rows);
  for (int column = 0; column < row_count; ++column) {
    auto* to = static_cast<BlockPanel*>(panel);
    for (int d = 0; d < depth; d += kDepth, ++to, block += block_bytes) {
      uint8_t q[kDepth];
      ReadFileBlock<Type>(block, column, &to->scales, q);
      for (int i = 0; i < kDepth; ++i) Put(&to->quants[i / kBlockDepth], column, i % kBlockDepth, q[i]);
    }
  }
}

template <typename Type>
void BlockPanel<Type>::Unpack(const void* panel, int column, int depth, float* out) {
  auto* const from = static_cast<const BlockPanel*>(panel);
  for (int block = 0; block < depth / kBlockDepth; ++block, out += kBlockDepth) {
    const ColumnBlock numbers = from[block / kBlocks].Read(block % kBlocks, column);
    for (int i = 0; i < kBlockDepth; ++i)
      out[i] = numbers.scales[i / 16] * static_cast<float>(numbers.q[i] - Type::kOffset) - numbers.mins[i / 16];
  }
}

template struct BlockPanel<Q4_0>;
template struct BlockPanel<Q4_1>;
template struct BlockPanel<Q5_0>;
template struct BlockPanel<Q5_1>;
template struct BlockPanel<Q8_0>;
template struct BlockPanel<Q2_K>;
template struct BlockPanel<Q3_K>;
template struct BlockPanel<Q4_K>;
template struct BlockPanel<Q5_K>;
template struct BlockPanel<Q6_K>;

}  // namespace embedded::cpu
