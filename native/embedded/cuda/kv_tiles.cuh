// What a warp of an attention kernel has of 16 tokens of one head in shared memory, and the operands of mma.m16n8k16 that it reads from
// there: keys for scores^T[16 tokens, columns] = K Q^T, values for out^T[head_dim, columns] = V^T P^T. A tile says which dimension
// each place of an operand holds: any order will do, as long as queries and sums have the same one.
#ifndef EMBEDDED_CUDA_KV_TILES_CUH_
#define EMBEDDED_CUDA_KV_TILES_CUH_

#include "native/embedded/cuda/int8_kv.cuh"
#include "native/embedded/cuda/kv_format.h"
#include "native/embedded/cuda/mma.cuh"
#include "native/embedded/cuda/packed_codes.cuh"

namespace embedded::cuda {

constexpr int kWarpTokens = 16;  // of a tile

// Where a tile's tokens are in the cache.
struct KvTileSource {
  const void* keys;  // of the layer
  const void* values;
  size_t head;  // counts the heads of all blocks before it
  int slot;     // of the first token, a multiple of 16
  int tokens;   // the first of the 16: no other is read
  int tokens_per_block;
  int head_dim;
};

// The piece of 16 bytes that a lane copies j-th, of rows of so many pieces.
template <int kPieces>
struct KvPiece {
  int row, column;

  __device__ KvPiece(int lane, int j)
      : row(32 % kPieces == 0 ? lane / kPieces + j * (32 / kPieces) : (lane + 32 * j) / kPieces),
        column(32 % kPieces == 0 ? lane % kPieces : (lane + 32 * j) % kPieces) {}
};

// The model's elements. 16 bytes of padding keep the rows of a matrix in different banks.
template <typename T, int kDim_>
struct ElementTile {
  using Element = T;
  static constexpr int kDim = kDim_;
  static constexpr int kRow = kDim + 8;
  static constexpr size_t kBytes = size_t{2} * 2 * kWarpTokens * kRow;
  // What products of queries and keys, and sums of weighted values, are multiplied by.
  static constexpr float kScoreFactor = 1, kSumFactor = 1;

  // Query operand `half` of product k: the first of two neighbouring dimensions.
  __device__ static int QueryDim(int k, int half, int t) { return k * 16 + half * 8 + 2 * t; }
  // Row g + 8 * half of sum i.
  __device__ static int SumDim(int i, int half, int g) { return i * 16 + half * 8 + g; }
  __device__ static uint32_t StagedQuery(uint32_t pair) { return pair; }
  // What scores of a row, and weights of one of `tokens`, are multiplied by.
  __device__ static float KeyScale(const unsigned char*, int) { return 1; }
  __device__ static float ValueScale(const unsigned char*, int, int) { return 1; }

#if __CUDA_ARCH__ >= 800
  __device__ static void Copy(unsigned char* tile, const KvTileSource& from, int lane) {
    T* const to = reinterpret_cast<T*>(tile);
    const size_t first = (from.head * from.tokens_per_block + from.slot) * static_cast<size_t>(from.head_dim);
    const T* const keys = static_cast<const T*>(from.keys) + first;
    const T* const values = static_cast<const T*>(from.values) + first;
#pragma unroll
    for (int j = 0; j < kWarpTokens * (kDim / 8) / 32; ++j) {
      const KvPiece<kDim / 8> piece(lane, j);
      const int row = piece.row, column = piece.column * 8;
      // Zeros past the context and past head_dim: a NaN that was there would survive the 0 it is multiplied by.
      const int valid = row < from.tokens && column < from.head_dim;
      const int at = row * from.head_dim + column;
      CopyAsync(to + row * kRow + column, keys + at, valid);
      CopyAsync(to + (kWarpTokens + row) * kRow + column, values + at, valid);
    }
  }
  // Operands of products 2 * c and 2 * c + 1.
  __device__ static void Keys(const unsigned char* tile, int c, int lane, uint32_t (&first)[4], uint32_t (&second)[4]) {
    const T* const row = reinterpret_cast<const T*>(tile) + lane % 16 * kRow + lane / 16 * 8 + c * 32;
    LoadMatrices(first, row);
    LoadMatrices(second, row + 16);
  }
  // Operands of sums 2 * c and 2 * c + 1.
  __device__ static void Values(const unsigned char* tile, int c, int lane, uint32_t (&first)[4],
                                uint32_t (&second)[4]) {
    const T* const row =
        reinterpret_cast<const T*>(tile) + (kWarpTokens + lane % 8 + lane / 16 * 8) * kRow + lane / 8 % 2 * 8 + c * 32;
    LoadMatricesTransposed(first, row);
    LoadMatricesTransposed(second, row + 16);
  }
#endif
};

// 8 bits, whose codes become operands in registers. Of 32 dimensions of a key a lane reads the 8 from 8 * t on, of a value the 4 from
// 4 * g on. Rows are as long as keeps such reads of a warp in different banks.
template <typename T, int kDim_>
struct Int8Tile {
  using Element = T;
  using Operand = CodeOperand<T, Codes::kInt8>;
  static constexpr int kDim = kDim_;
  static constexpr int kKeyRow = kDim % 64 == 0 ? kDim + 32 : kDim;
  static constexpr int kValueRow = kDim + 16;
  static constexpr int kValues = kWarpTokens * kKeyRow;
  static constexpr int kScales = kValues + kWarpTokens * kValueRow;  // float, of keys and then of values
  static constexpr size_t kBytes = kScales + 2 * kWarpTokens * sizeof(float);
  static constexpr float kScoreFactor = Operand::kScale;
  // Weights carry a value's largest magnitude in place of its scale, which could be too small for a float16.
  static constexpr float kSumFactor = Operand::kScale / kInt8Most;

  __device__ static int QueryDim(int k, int half, int t) { return k / 2 * 32 + t * 8 + k % 2 * 4 + half * 2; }
  __device__ static int SumDim(int i, int half, int g) { return i / 2 * 32 + g * 4 + i % 2 * 2 + half; }
  __device__ static uint32_t StagedQuery(uint32_t pair) { return StagedPair<T, Codes::kInt8>(pair); }
  __device__ static float KeyScale(const unsigned char* tile, int row) {
    return reinterpret_cast<const float*>(tile + kScales)[row];
  }
  __device__ static float ValueScale(const unsigned char* tile, int row, int tokens) {
    constexpr float kFactor = Operand::kScalesX ? kInt8Most * 0x1p64f : kInt8Most;
    return row < tokens ? reinterpret_cast<const float*>(tile + kScales)[kWarpTokens + row] * kFactor : 0.0f;
  }

#if __CUDA_ARCH__ >= 800
  __device__ static void Copy(unsigned char* tile, const KvTileSource& from, int lane) {
    const Int8Token first(from.head, from.slot, from.tokens_per_block, from.head_dim);
    const uint8_t* const keys = static_cast<const uint8_t*>(from.keys);
    const uint8_t* const values = static_cast<const uint8_t*>(from.values);
#pragma unroll
    for (int j = 0; j < kWarpTokens * (kDim / 16) / 32; ++j) {
      const KvPiece<kDim / 16> piece(lane, j);
      const int row = piece.row, column = piece.column * 16;
      const int valid = row < from.tokens && column < from.head_dim;
      const int at = row * from.head_dim + column;
      CopyAsync(tile + row * kKeyRow + column, keys + first.codes + at, valid);
      CopyAsync(tile + kValues + row * kValueRow + column, values + first.codes + at, valid);
    }
    if (lane < 2 * kWarpTokens / 4) {
      const int row = lane * 4 % kWarpTokens;
      CopyAsync(tile + kScales + lane * 16,
                (lane * 4 < kWarpTokens ? keys : values) + first.scale + row * sizeof(float), row < from.tokens);
    }
  }
  __device__ static void Keys(const unsigned char* tile, int c, int lane, uint32_t (&first)[4], uint32_t (&second)[4]) {
    const unsigned char* const row = tile + lane / 4 * kKeyRow + c * 32 + lane % 4 * 8;
    const uint2 low = *reinterpret_cast<const uint2*>(row);
    const uint2 high = *reinterpret_cast<const uint2*>(row + 8 * kKeyRow);
    Interleave(low.x, high.x, first);
    Interleave(low.y, high.y, second);
  }
  __device__ static void Values(const unsigned char* tile, int c, int lane, uint32_t (&first)[4],
                                uint32_t (&second)[4]) {
    const unsigned char* const row = tile + kValues + lane % 4 * 2 * kValueRow + c * 32 + lane / 4 * 4;
    const auto word = [&](int token) { return *reinterpret_cast<const uint32_t*>(row + token * kValueRow); };
    const uint32_t words[4] = {word(0), word(1), word(8), word(9)};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      // Of two tokens the codes of one dimension side by side.
      Operand::Expand8(__byte_perm(words[2 * half], words[2 * half + 1], 0x5140), first + 2 * half);
      Operand::Expand8(__byte_perm(words[2 * half], words[2 * half + 1], 0x7362), second + 2 * half);
    }
  }

 private:
  // Rows g and g + 8 of an operand, of 4 codes each.
  __device__ static void Interleave(uint32_t low, uint32_t high, uint32_t (&out)[4]) {
    uint32_t pairs[4];
    Operand::Expand8(low, pairs);
    Operand::Expand8(high, pairs + 2);
    out[0] = pairs[0];
    out[1] = pairs[2];
    out[2] = pairs[1];
    out[3] = pairs[3];
  }
#endif
};

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_KV_TILES_CUH_
