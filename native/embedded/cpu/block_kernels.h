// Products of matrices in ggml's blocks (blocks.h), written once over a vector type V of each instruction set. V is local
// to its file, so each file gets functions of its own. Rules of inclusion: kernels.h.
//
// The input is rounded to whole numbers of 8 bits, block by block. A block's sum is then exact whatever the order, and
// what is added up in floats is one chain for each output: a result has the same bits in any batch.
//
// V has, besides kLanes, outputs that a register holds (8 or 16):
// - Float: Zero, Set, Mul, MulAdd (a * b + c), NegMulAdd (-a * b + c), Add, Load, Store, and FromHalf of kLanes fp16.
// - Ints, whole numbers of 32 bits: Broadcast of one in memory, Shift<n> to the left (n < 0: to the right) of all bits,
//   AndInts, OrInts, ShiftInts to the right by a number known at run time, ToFloat, and FromBytes and FromSignedBytes.
// - Bytes, four for each output: LoadBytes, AndBytes with a byte, OrBytes, ShiftBytes<n> (the bits that cross a byte are
//   for AndBytes to remove), and OrWhere(x, bits, byte): or `byte` where the byte's bit is set.
// - Sums, what products of weights of so many bits are added up in, kDots<bits> times at most: ZeroSums, LoadInput of four
//   inputs in memory, Dot<bits>(sums, weights, input), and AddSums to Ints. Where kSumsAreInts<bits>, Sums are Ints, which
//   take any number of products. Where kDotTakesOffset<bits>, Dot multiplies with the weights less their offset.
// - For the input: MaxMagnitude of 16 floats, as their bits, and Quantize of 16 floats, which returns their sum.
//
// Weights are read front to back, which the hardware's prefetcher follows; asking for lines ahead made it slower.
#ifndef EMBEDDED_CPU_BLOCK_KERNELS_H_
#define EMBEDDED_CPU_BLOCK_KERNELS_H_

#include "native/embedded/cpu/blocks.h"

namespace embedded::cpu {

template <typename V>
struct BlockKernels {
  using Float = typename V::Float;
  using Ints = typename V::Ints;
  using Bytes = typename V::Bytes;
  static constexpr int kLanes = V::kLanes;

  // An odd number of cache lines: the same blocks of neighbouring rows then lie in different sets of the cache.
  static size_t InputBytes(int depth) { return static_cast<size_t>(depth / kBlockDepth | 1) * sizeof(InputBlock); }

  static void PrepareInput(const float* x, int depth, void* out) {
    auto* block = static_cast<InputBlock*>(out);
    for (int d = 0; d < depth; d += kBlockDepth, x += kBlockDepth, ++block) {
      const uint32_t first = V::MaxMagnitude(x), last = V::MaxMagnitude(x + 16);
      const uint32_t bits = first > last ? first : last;
      const bool is_finite = bits < 0x7F800000;
      float largest;
      __builtin_memcpy(&largest, &bits, sizeof(largest));
      const bool counts = is_finite && largest >= kLeastInput;
      block->scale = !is_finite ? __builtin_nanf("") : counts ? largest / 127.0f : 0.0f;
      const float factor = counts ? 127.0f / largest : 0.0f;
      int sums[3] = {0, 0, 0};
      for (int i = 0; i < 2; ++i) {
        if (counts)
          sums[i] = V::Quantize(x + 16 * i, factor, block->values + 16 * i);
        else
          __builtin_memset(block->values + 16 * i, 0, 16);
      }
      sums[2] = sums[0] + sums[1];
      for (int i = 0; i < 3; ++i) {
        block->minus_sums[i] = -sums[i];
        block->scaled_sums[i] = static_cast<float>(sums[i]) * block->scale;
      }
    }
  }

  static constexpr InputForm kInput = {InputBytes, PrepareInput};

  // Weights of one four, `column` being the first of the register's within the half panel.
  struct Pair {
    Bytes low, high;  // outputs `column` and 16 + `column` on
  };

  template <int odd>
  static Pair Twos(const uint8_t (*twos)[kFourBytes], int four, int column) {
    const Bytes all = V::LoadBytes(twos[four / 2] + 4 * column);
    return {V::AndBytes(V::template ShiftBytes<-4 * odd>(all), 3),
            V::AndBytes(V::template ShiftBytes<-4 * odd - 2>(all), 3)};
  }
  static Pair Fours(const uint8_t (*fours)[kFourBytes], int four, int column) {
    const Bytes all = V::LoadBytes(fours[four] + 4 * column);
    return {V::AndBytes(all, 15), V::AndBytes(V::template ShiftBytes<-4>(all), 15)};
  }
  static Pair WithOnes(const Pair& pair, const uint8_t (*ones)[2][kFourBytes / 8], int four, int column,
                       uint8_t value) {
    return {V::OrWhere(pair.low, ones[four][0] + column / 2, value),
            V::OrWhere(pair.high, ones[four][1] + column / 2, value)};
  }

  template <int odd>
  static Pair LoadWeights(const Quants<2>& quants, int four, int column) {
    return Twos<odd>(quants.twos, four, column);
  }
  template <int odd>
  static Pair LoadWeights(const Quants<3>& quants, int four, int column) {
    return WithOnes(Twos<odd>(quants.twos, four, column), quants.ones, four, column, 4);
  }
  template <int odd>
  static Pair LoadWeights(const Quants<4>& quants, int four, int column) {
    return Fours(quants.fours, four, column);
  }
  template <int odd>
  static Pair LoadWeights(const Quants<5>& quants, int four, int column) {
    return WithOnes(Fours(quants.fours, four, column), quants.ones, four, column, 16);
  }
  template <int odd>
  static Pair LoadWeights(const Quants<6>& quants, int four, int column) {
    const Pair fours = Fours(quants.fours, four, column);
    const Bytes twos = V::LoadBytes(quants.twos[four / 2] + 4 * column);
    return {V::OrBytes(fours.low, V::AndBytes(V::template ShiftBytes<4 - 4 * odd>(twos), 48)),
            V::OrBytes(fours.high, V::AndBytes(V::template ShiftBytes<2 - 4 * odd>(twos), 48))};
  }
  template <int odd>
  static Pair LoadWeights(const Quants<8>& quants, int four, int column) {
    return {V::LoadBytes(quants.bytes[four][0] + 4 * column), V::LoadBytes(quants.bytes[four][1] + 4 * column)};
  }

  // Scales and mins of the groups of at most kBlocksPerSum blocks, made once for all rows. Where each block has its own, they
  // are read as they come.
  struct Factors {
    alignas(64) float scales[2 * kBlocksPerSum][kPanelWidth];
    alignas(64) float mins[2 * kBlocksPerSum][kPanelWidth];
  };

  // Of kLanes outputs from `column` on, and of a group of the panel.
  struct Place {
    int group;
    int column;
  };
  static Ints ByteAt(const uint8_t (*packed)[kPanelWidth], int i, int column) {
    return V::FromBytes(packed[i] + column);
  }
  static Float Times(const uint16_t* halves, const Place& at, Ints whole) {
    return V::Mul(V::FromHalf(halves + at.column), V::ToFloat(whole));
  }
  static Float ScaleAt(const OneScale& scales, const Place& at) { return V::FromHalf(scales.scale + at.column); }
  static Float ScaleAt(const OneScaleAndMin& scales, const Place& at) { return V::FromHalf(scales.scale + at.column); }
  static Float MinAt(const OneScaleAndMin& scales, const Place& at) {
    return V::Mul(V::FromHalf(scales.min + at.column), V::Set(-1.0f));
  }
  // The upper two bits of a byte as bits 4 and 5.
  static Ints HighBits(Ints byte) { return V::template Shift<4>(V::template Shift<-6>(byte)); }
  static Float ScaleAt(const SixBitScalesAndMins& scales, const Place& at) {
    const auto byte = [&](int i) { return ByteAt(scales.packed, i, at.column); };
    return Times(scales.scale, at,
                 at.group < 4 ? V::AndInts(byte(at.group), 63)
                              : V::OrInts(V::AndInts(byte(at.group + 4), 15), HighBits(byte(at.group - 4))));
  }
  static Float MinAt(const SixBitScalesAndMins& scales, const Place& at) {
    const auto byte = [&](int i) { return ByteAt(scales.packed, i, at.column); };
    return Times(scales.min, at,
                 at.group < 4 ? V::AndInts(byte(at.group + 4), 63)
                              : V::OrInts(V::template Shift<-4>(byte(at.group + 4)), HighBits(byte(at.group))));
  }
  static Float ScaleAt(const FourBitScalesAndMins& scales, const Place& at) {
    return Times(scales.scale, at, V::AndInts(ByteAt(scales.packed, at.group, at.column), 15));
  }
  static Float MinAt(const FourBitScalesAndMins& scales, const Place& at) {
    return Times(scales.min, at, V::template Shift<-4>(ByteAt(scales.packed, at.group, at.column)));
  }
  static Float ScaleAt(const SixBitScales& scales, const Place& at) {
    const Ints low = V::AndInts(V::ShiftInts(ByteAt(scales.packed, at.group % 8, at.column), at.group / 8 * 4), 15);
    const Ints high = V::AndInts(V::ShiftInts(ByteAt(scales.packed, 8 + at.group % 4, at.column), at.group / 4 * 2), 3);
    const Float whole = V::ToFloat(V::OrInts(low, V::template Shift<4>(high)));
    return V::Mul(V::FromHalf(scales.scale + at.column), V::Add(whole, V::Set(-32.0f)));
  }
  static Float ScaleAt(const EightBitScales& scales, const Place& at) {
    return Times(scales.scale, at, V::FromSignedBytes(scales.packed[at.group] + at.column));
  }

  template <typename Type>
  static void ReadFactors(const BlockPanel<Type>* panels, int blocks, Factors* factors) {
    constexpr int kGroups = kBlockDepth / Type::kGroup * BlockPanel<Type>::kBlocks;
    for (int i = 0; i < blocks / BlockPanel<Type>::kBlocks; ++i) {
      for (int group = 0; group < kGroups; ++group)
        for (int column = 0; column < kPanelWidth; column += kLanes) {
          const Place at{group, column};
          V::Store(factors->scales[i * kGroups + group] + column, ScaleAt(panels[i].scales, at));
          if constexpr (Type::Scales::kHasMin)
            V::Store(factors->mins[i * kGroups + group] + column, MinAt(panels[i].scales, at));
        }
    }
  }

  // Rows of input: block b of row r is at first + r * stride + b.
  struct Input {
    const char* first;
    size_t stride;  // bytes
    const InputBlock& At(int row, int block) const {
      return reinterpret_cast<const InputBlock*>(first + row * stride)[block];
    }
  };

  // Sums of `fours` fours of a block, from `four` on: products of weights and inputs for each row and half.
  template <typename Type, int rows, int fours, typename Sums>
  static void AddProducts(const Quants<Type::kBits>& quants, const Input& x, int block, int four, int column,
                          Sums (*sums)[2]) {
#pragma GCC unroll 4
    for (int i = 0; i < fours; i += 2, four += 2) {
      const Pair even = LoadWeights<0>(quants, four, column);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
        const auto input = V::LoadInput(x.At(r, block).values + 4 * four);
        sums[r][0] = V::template Dot<Type::kBits>(sums[r][0], even.low, input);
        sums[r][1] = V::template Dot<Type::kBits>(sums[r][1], even.high, input);
      }
      const Pair odd = LoadWeights<1>(quants, four + 1, column);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
        const auto input = V::LoadInput(x.At(r, block).values + 4 * four + 4);
        sums[r][0] = V::template Dot<Type::kBits>(sums[r][0], odd.low, input);
        sums[r][1] = V::template Dot<Type::kBits>(sums[r][1], odd.high, input);
      }
    }
  }

  // out [rows, 32] of at most kBlocksPerSum blocks.
  template <typename Type, int rows>
  static void Tile(const BlockPanel<Type>* panels, const Factors& factors, const Input& x, int blocks, float* out,
                   size_t out_stride, bool add_to_out) {
    constexpr int kPanelBlocks = BlockPanel<Type>::kBlocks;
    constexpr int kGroups = kBlockDepth / Type::kGroup;
    constexpr int kGroupFours = Type::kGroup / 4;
    constexpr int kDots = V::template kDots<Type::kBits>;
    constexpr int kRun = kDots < kGroupFours ? kDots : kGroupFours;  // fours
    constexpr int kFirstSum = kGroups == 1 ? 2 : 0;                  // of an InputBlock
    for (int column = 0; column < kHalfPanel; column += kLanes) {
      Float totals[rows][2];
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) totals[r][0] = totals[r][1] = V::Zero();
      for (int block = 0; block < blocks; ++block) {
        const Quants<Type::kBits>& quants = panels[block / kPanelBlocks].quants[block % kPanelBlocks];
#pragma GCC unroll 2
        for (int group = 0; group < kGroups; ++group) {
          Ints ints[rows][2];
#pragma GCC unroll 8
          for (int r = 0; r < rows; ++r) {
            if constexpr (Type::kOffset == 0 || V::template kDotTakesOffset<Type::kBits>)
              ints[r][0] = ints[r][1] = V::ZeroInts();
            else
              ints[r][0] = ints[r][1] = V::template Shift<__builtin_ctz(Type::kOffset | 1 << 30)>(
                  V::Broadcast(&x.At(r, block).minus_sums[kFirstSum + group]));
          }
          if constexpr (V::template kSumsAreInts<Type::kBits>) {
            AddProducts<Type, rows, kGroupFours>(quants, x, block, group * kGroupFours, column, ints);
          } else {
#pragma GCC unroll 4
            for (int run = 0; run < kGroupFours; run += kRun) {
              typename V::Sums sums[rows][2];
#pragma GCC unroll 8
              for (int r = 0; r < rows; ++r) sums[r][0] = sums[r][1] = V::ZeroSums();
              AddProducts<Type, rows, kRun>(quants, x, block, group * kGroupFours + run, column, sums);
#pragma GCC unroll 8
              for (int r = 0; r < rows; ++r) {
                ints[r][0] = V::AddSums(ints[r][0], sums[r][0]);
                ints[r][1] = V::AddSums(ints[r][1], sums[r][1]);
              }
            }
          }
          const auto scale_at = [&](int at) {
            if constexpr (kPanelBlocks == 1)
              return ScaleAt(panels[block].scales, {0, at});
            else
              return V::Load(factors.scales[block * kGroups + group] + at);
          };
          const Float low = scale_at(column), high = scale_at(column + kHalfPanel);
#pragma GCC unroll 8
          for (int r = 0; r < rows; ++r) {
            const Float scale = V::Set(x.At(r, block).scale);
            totals[r][0] = V::MulAdd(V::Mul(low, scale), V::ToFloat(ints[r][0]), totals[r][0]);
            totals[r][1] = V::MulAdd(V::Mul(high, scale), V::ToFloat(ints[r][1]), totals[r][1]);
          }
          if constexpr (Type::Scales::kHasMin) {
            const auto min_at = [&](int at) {
              if constexpr (kPanelBlocks == 1)
                return MinAt(panels[block].scales, {0, at});
              else
                return V::Load(factors.mins[block * kGroups + group] + at);
            };
            const Float low_min = min_at(column), high_min = min_at(column + kHalfPanel);
#pragma GCC unroll 8
            for (int r = 0; r < rows; ++r) {
              const Float sum = V::Set(x.At(r, block).scaled_sums[kFirstSum + group]);
              totals[r][0] = V::NegMulAdd(low_min, sum, totals[r][0]);
              totals[r][1] = V::NegMulAdd(high_min, sum, totals[r][1]);
            }
          }
        }
      }
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r)
        for (int half = 0; half < 2; ++half) {
          float* to = out + r * out_stride + column + half * kHalfPanel;
          V::Store(to, add_to_out ? V::Add(V::Load(to), totals[r][half]) : totals[r][half]);
        }
    }
  }

  template <typename Type>
  static void Product(const LayoutProduct& p) {
    const int blocks = p.depth / kBlockDepth;
    Factors factors;
    for (int block = 0; block < blocks; block += kBlocksPerSum) {
      const auto* panels = static_cast<const BlockPanel<Type>*>(p.panel) + block / BlockPanel<Type>::kBlocks;
      const int count = blocks - block < kBlocksPerSum ? blocks - block : kBlocksPerSum;
      if constexpr (BlockPanel<Type>::kBlocks > 1) ReadFactors(panels, count, &factors);
      int row = 0;
      const auto compute = [&](auto tile, int rows) {
        for (; row + rows <= p.rows; row += rows)
          tile(panels, factors,
               Input{static_cast<const char*>(p.x) + row * p.x_stride + block * sizeof(InputBlock), p.x_stride}, count,
               p.out + row * p.out_stride, p.out_stride, p.add_to_out || block > 0);
      };
      compute(Tile<Type, V::kTileRows>, V::kTileRows);
      if constexpr (V::kTileRows > 4) compute(Tile<Type, 4>, 4);
      compute(Tile<Type, 2>, 2);
      compute(Tile<Type, 1>, 1);
    }
  }

  template <typename Type>
  static constexpr Layout kLayout = {BlockPanel<Type>::Bytes, BlockPanel<Type>::Pack, BlockPanel<Type>::Unpack, &kInput,
                                     Product<Type>};

  static constexpr void SetLayouts(const Layout** layouts) {
    layouts[static_cast<int>(WeightType::kQ4_0)] = &kLayout<Q4_0>;
    layouts[static_cast<int>(WeightType::kQ4_1)] = &kLayout<Q4_1>;
    layouts[static_cast<int>(WeightType::kQ5_0)] = &kLayout<Q5_0>;
    layouts[static_cast<int>(WeightType::kQ5_1)] = &kLayout<Q5_1>;
    layouts[static_cast<int>(WeightType::kQ8_0)] = &kLayout<Q8_0>;
    layouts[static_cast<int>(WeightType::kQ2_K)] = &kLayout<Q2_K>;
    layouts[static_cast<int>(WeightType::kQ3_K)] = &kLayout<Q3_K>;
    layouts[static_cast<int>(WeightType::kQ4_K)] = &kLayout<Q4_K>;
    layouts[static_cast<int>(WeightType::kQ5_K)] = &kLayout<Q5_K>;
    layouts[static_cast<int>(WeightType::kQ6_K)] = &kLayout<Q6_K>;
  }
};

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_BLOCK_KERNELS_H_
