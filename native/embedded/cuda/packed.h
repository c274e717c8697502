// Weights of few bits as the kernels read them, and the linear layer over them.
//
// w[n, k] = row_scale[n] * (scale[n, k / group] * q[n, k] + zero[n, k / group]), q being a code of 4 or 8 bits: an integer, or a number
// in FP8 (E4M3). Without groups scale is 1 and zero is 0.
//
// In memory: records [tiles, steps], then row scales, float [tiles, 16].
//   A tile is 16 rows of w: the first rows of 8 units (linear_output.cuh) at 0 to 7, their second rows at 8 to 15. What is past the
//   last unit or behind the depth has codes of 0. The number of tiles is even.
//   A step is 128 columns. Its record holds 16 bytes for each lane of a warp, lane = 4 * g + t, once or several times: what lane needs
//   as the operand A of mma.m16n8k16, rows g and g + 8. Of 32 columns a lane has 8 neighbours, 8 * t to 8 * t + 7. 4 bits: 16 bytes are
//   {row g, row g + 8} of 32 columns, then of the next 32; 8 bits: {row g, row g + 8} of 32 columns. With groups of 16 a lane has
//   columns 4 * t to 4 * t + 3 of the first 16 and of the second 16 instead.
//   Behind the codes lie the scales, half: [8, groups of the step, 2 rows of a unit], or [8, groups of the step, 2 rows, {scale, zero}].
#ifndef EMBEDDED_CUDA_PACKED_H_
#define EMBEDDED_CUDA_PACKED_H_

#include <cstddef>
#include <cstdint>
#include <tuple>

namespace embedded::cuda {

enum class Codes : uint8_t { kElements, kInt8, kInt4, kFp8 };  // kElements: the weights are not packed
enum class Scales : uint8_t {
  kRows,
  kGroups128,
  kGroups128Zeros,
  kGroups32,
  kGroups32Zeros,
  kGroups16,
  kGroups16Zeros
};

constexpr int kTileRows = 16;
constexpr int kTileUnits = kTileRows / 2;
constexpr int kStepColumns = 128;

struct WeightForm {
  Codes codes = Codes::kElements;
  Scales scales = Scales::kRows;
  // Rows of one unit lie so far apart: unit u has rows u / d * 2 * d + u % d and d rows further.
  int pair_distance = 1;

  constexpr bool is_packed() const { return codes != Codes::kElements; }
  constexpr bool has_zeros() const {
    return scales == Scales::kGroups128Zeros || scales == Scales::kGroups32Zeros || scales == Scales::kGroups16Zeros;
  }
  constexpr int groups_in_step() const {
    if (scales == Scales::kRows) return 0;
    if (scales == Scales::kGroups128 || scales == Scales::kGroups128Zeros) return 1;
    return scales == Scales::kGroups32 || scales == Scales::kGroups32Zeros ? 4 : 8;
  }
  // Whether each of the two products over 32 columns is over one group of 16.
  constexpr bool has_halves() const { return groups_in_step() == 8; }
  // Of 32 columns the one of a lane's code i.
  constexpr int column(int t, int i) const { return has_halves() ? i / 4 * 16 + t * 4 + i % 4 : t * 8 + i; }
  constexpr int code_bytes() const { return kTileRows * kStepColumns / (codes == Codes::kInt4 ? 2 : 1); }
  constexpr int scale_bytes() const { return kTileUnits * groups_in_step() * 2 * (has_zeros() ? 4 : 2); }
  constexpr int record_bytes() const { return code_bytes() + scale_bytes(); }

  constexpr auto key() const { return std::make_tuple(codes, scales, pair_distance); }
};

// The records of a matrix.
struct PackedShape {
  int tiles;
  int steps;

  constexpr PackedShape(int outputs, int depth)
      : tiles(((outputs + 1) / 2 + 2 * kTileUnits - 1) / (2 * kTileUnits) * 2),
        steps((depth + kStepColumns - 1) / kStepColumns) {}
  constexpr size_t record(int tile, int step) const { return static_cast<size_t>(tile) * steps + step; }
  constexpr size_t row_scales_offset(const WeightForm& form) const {
    return static_cast<size_t>(tiles) * steps * form.record_bytes();
  }
  constexpr size_t bytes(const WeightForm& form) const {
    return row_scales_offset(form) + sizeof(float) * tiles * kTileRows;
  }
};

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_PACKED_H_
