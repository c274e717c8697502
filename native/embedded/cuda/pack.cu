#include "native/embedded/cuda/device.cuh"
#include "native/embedded/cuda/linear_input.cuh"
#include "native/embedded/cuda/pack.h"

namespace embedded::cuda {
namespace {

constexpr int kCodesAtOnce = 8;  // neighbours of a row
constexpr int kPartColumns = 32;
constexpr int kThreads = kStepColumns / kPartColumns * kWarpSize;

// Of the row at `place`, 0 to 15, of a tile; -1 past the last.
__device__ int RowAt(const WeightForm& form, int outputs, int tile, int place) {
  const int unit = tile * kTileUnits + place % kTileUnits;
  const int distance = form.pair_distance;
  const int row = unit / distance * 2 * distance + unit % distance + place / kTileUnits * distance;
  return row < outputs ? row : -1;
}

__device__ float MaxOverWarp(float x) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffff, x, offset));
  return x;
}

// A power of two that makes the largest scale, or zero, of a row one that half holds. `largest` is each lane's.
__device__ float PowerOfTwoAbove(float largest) {
  largest = MaxOverWarp(largest);
  int exponent = 0;
  frexpf(largest, &exponent);
  return largest == 0 ? 1 : ldexpf(1, exponent - 15);
}

// --- What is packed: Code gives the unsigned code, RowScale (all lanes of a warp) and GroupScale {scale, zero} what it is multiplied by.

template <typename T>
struct ElementRows {
  const T* elements;  // [outputs, depth]
  int depth;
  float half_of_codes;  // 8 or 128: half of the codes

  __device__ float RowScale(int row, int lane) const {
    float largest = 0;
    for (int k = lane; k < depth; k += kWarpSize)
      largest = fmaxf(largest, fabsf(ToFloat(elements[static_cast<size_t>(row) * depth + k])));
    return MaxOverWarp(largest) / half_of_codes;
  }
  __device__ uint32_t Code(int row, int k, float row_scale) const {
    if (row_scale == 0) return static_cast<uint32_t>(half_of_codes);
    const float q = roundf(__fdiv_rn(ToFloat(elements[static_cast<size_t>(row) * depth + k]), row_scale));
    return static_cast<uint32_t>(fminf(fmaxf(q, -half_of_codes), half_of_codes - 1) + half_of_codes);
  }
  __device__ float2 GroupScale(int, int) const { return {}; }
};

struct Int4Rows {
  Int4Source source;
  int depth;

  __device__ int groups() const { return depth / source.group_size; }
  __device__ float RowScale(int row, int lane) const {
    float largest = 0;
    for (int group = lane; group < groups(); group += kWarpSize)
      largest = fmaxf(
          largest, fmaxf(fabsf(source.scales[static_cast<size_t>(row) * groups() + group]), fabsf(Zero(row, group))));
    return PowerOfTwoAbove(largest);
  }
  __device__ uint32_t Code(int row, int k, float) const {
    const uint32_t pair = source.pairs[static_cast<size_t>(row / 2) * depth + k];
    return (row % 2 == 0 ? pair & 15 : pair >> 4) ^ 8;
  }
  __device__ float2 GroupScale(int row, int k) const {
    const int group = k / source.group_size;
    return {source.scales[static_cast<size_t>(row) * groups() + group], Zero(row, group)};
  }

 private:
  __device__ float Zero(int row, int group) const {
    if (source.zeros == nullptr) return 0;
    const size_t part = static_cast<size_t>(row / source.part_rows) * groups();
    return source.zeros[(part + group) * source.part_rows + row % source.part_rows];
  }
};

struct Fp8Rows {
  Fp8Source source;
  int depth;

  __device__ float RowScale(int row, int) const { return source.row_scales[row]; }
  __device__ uint32_t Code(int row, int k, float) const { return source.bytes[static_cast<size_t>(row) * depth + k]; }
  __device__ float2 GroupScale(int, int) const { return {}; }
};

// ggml's blocks: every weight is scale * q + zero, q an integer. Sources of what a block holds: the structs of ggml-common.h and the
// functions dequantize_row_* of ggml-quants.c in github.com/ggml-org/ggml.
struct BlockWeight {
  int q;
  float scale;
  float zero;
};

__device__ float HalfAt(const uint8_t* bytes) {  // blocks are aligned to 2 bytes
  return __half2float(*reinterpret_cast<const __half*>(bytes));
}

// Of 8 sub-blocks of 32 the scale and min, 6 bits each in 12 bytes.
__device__ int2 SixBitScaleAndMin(const uint8_t* packed, int sub) {
  if (sub < 4) return {packed[sub] & 63, packed[sub + 4] & 63};
  return {(packed[sub + 4] & 15) | (packed[sub - 4] >> 6) << 4, (packed[sub + 4] >> 4) | (packed[sub] >> 6) << 4};
}

__device__ BlockWeight WeightOf(WeightType type, const uint8_t* block, int i) {
  const int nibble_shift = i < 16 ? 0 : 4;  // of the types of 32 weights
  const auto fifth = [&](const uint8_t* bits) { return (bits[i / 8] >> (i % 8) & 1) << 4; };
  switch (type) {
    case WeightType::kQ4_0:
      return {(block[2 + i % 16] >> nibble_shift & 15) - 8, HalfAt(block), 0};
    case WeightType::kQ4_1: {
      const float scale = HalfAt(block);
      return {(block[4 + i % 16] >> nibble_shift & 15) - 8, scale, fmaf(8, scale, HalfAt(block + 2))};
    }
    case WeightType::kQ5_0:
      return {((block[6 + i % 16] >> nibble_shift & 15) | fifth(block + 2)) - 16, HalfAt(block), 0};
    case WeightType::kQ5_1:
      return {(block[8 + i % 16] >> nibble_shift & 15) | fifth(block + 4), HalfAt(block), HalfAt(block + 2)};
    case WeightType::kQ8_0:
      return {static_cast<int8_t>(block[2 + i]), HalfAt(block), 0};
    case WeightType::kQ4_K: {
      const int2 factors = SixBitScaleAndMin(block + 4, i / 32);
      const float scale = HalfAt(block) * factors.x;
      const int nibble = block[16 + i / 64 * 32 + i % 32] >> i / 32 % 2 * 4 & 15;
      return {nibble - 8, scale, fmaf(8, scale, -HalfAt(block + 2) * factors.y)};
    }
    case WeightType::kQ5_K: {
      const int2 factors = SixBitScaleAndMin(block + 4, i / 32);
      const int nibble = block[48 + i / 64 * 32 + i % 32] >> i / 32 % 2 * 4 & 15;
      return {nibble | (block[16 + i % 32] >> i / 32 & 1) << 4, HalfAt(block) * factors.x,
              -HalfAt(block + 2) * factors.y};
    }
    case WeightType::kQ6_K: {
      const int part = i % 128 / 32;
      const int nibble = block[i / 128 * 64 + part % 2 * 32 + i % 32] >> part / 2 * 4 & 15;
      const int high = block[128 + i / 128 * 32 + i % 32] >> part * 2 & 3;
      return {(nibble | high << 4) - 32, HalfAt(block + 208) * static_cast<int8_t>(block[192 + i / 16]), 0};
    }
    default:
      return {0, 0, 0};
  }
}

struct BlockRows {
  BlocksSource source;
  int depth;
  int groups;  // of a row
  int group_size;
  int half_of_codes;

  __device__ BlockWeight Weight(int row, int k) const {
    int part = 0;
    while (row >= source.parts[part].rows) row -= source.parts[part++].rows;
    const BlocksSource::Part& rows = source.parts[part];
    const uint8_t* const blocks =
        rows.blocks + static_cast<size_t>(row) * (depth / rows.block_weights) * rows.block_bytes;
    return WeightOf(rows.type, blocks + static_cast<size_t>(k / rows.block_weights) * rows.block_bytes,
                    k % rows.block_weights);
  }
  __device__ float RowScale(int row, int lane) const {
    float largest = 0;
    for (int group = lane; group < groups; group += kWarpSize) {
      const BlockWeight weight = Weight(row, group * group_size);
      largest = fmaxf(largest, fmaxf(fabsf(weight.scale), fabsf(weight.zero)));
    }
    return PowerOfTwoAbove(largest);
  }
  __device__ uint32_t Code(int row, int k, float) const {
    return static_cast<uint32_t>(Weight(row, k).q + half_of_codes);
  }
  __device__ float2 GroupScale(int row, int k) const {
    const BlockWeight weight = Weight(row, k);
    return {weight.scale, weight.zero};
  }
};

// A thread decodes one weight.
template <typename T>
__global__ void __launch_bounds__(kThreads) DecodeBlocksKernel(BlockRows rows, T* elements) {
  WaitForPredecessor();
  const int k = static_cast<int>(blockIdx.y * kThreads + threadIdx.x);
  if (k >= rows.depth) return;
  const int row = static_cast<int>(blockIdx.x);
  const BlockWeight weight = rows.Weight(row, k);
  elements[static_cast<size_t>(row) * rows.depth + k] = FromFloat<T>(fmaf(weight.scale, weight.q, weight.zero));
}

template <typename Source>
__global__ void RowScalesKernel(Source source, WeightForm form, int outputs, float* row_scales) {
  WaitForPredecessor();
  const int lane = static_cast<int>(threadIdx.x % kWarpSize);
  const int place = static_cast<int>(threadIdx.x) / kWarpSize;
  const int row = RowAt(form, outputs, static_cast<int>(blockIdx.x), place);
  const float scale = row < 0 ? 0 : source.RowScale(row, lane);
  if (lane == 0) row_scales[static_cast<size_t>(blockIdx.x) * kTileRows + place] = scale;
}

// Where code i of 8 neighbours lies: word and shift.
__device__ int2 PlaceOfCode(Codes codes, int i) {
  if (codes == Codes::kInt4) return {0, i / 2 * 4 + i % 2 * 16};
  constexpr int kFp8Bytes[] = {1, 3, 0, 2};
  return {i / 4, 8 * (codes == Codes::kFp8 ? kFp8Bytes[i % 4] : i % 4)};
}

// Words of one row's 8 codes that lane 4 * g + t has of the 32 columns from `first` on. Where there is no weight the code means 0.
template <typename Source>
__device__ uint2 Pack8(const Source& source, const WeightForm& form, int row, int first, int t, int depth,
                       float row_scale) {
  const Codes codes = form.codes;
  const uint32_t nothing = codes == Codes::kInt4 ? 8 : codes == Codes::kInt8 ? 128 : 0;
  uint32_t words[2] = {};
#pragma unroll
  for (int i = 0; i < kCodesAtOnce; ++i) {
    const int k = first + form.column(t, i);
    const uint32_t code = row < 0 || k >= depth ? nothing : source.Code(row, k, row_scale);
    const int2 place = PlaceOfCode(codes, i);
    words[place.x] |= code << place.y;
  }
  return {words[0], words[1]};
}

// A block packs one record.
template <typename Source>
__global__ void __launch_bounds__(kThreads)
    PackKernel(Source source, WeightForm form, int outputs, int depth, const float* row_scales, unsigned char* packed) {
  WaitForPredecessor();
  const int tile = static_cast<int>(blockIdx.x);
  const int step = static_cast<int>(blockIdx.y);
  const int lane = static_cast<int>(threadIdx.x % kWarpSize);
  const int part = static_cast<int>(threadIdx.x / kWarpSize);
  const int g = lane / 4;
  unsigned char* const record = packed + (static_cast<size_t>(tile) * gridDim.y + step) * form.record_bytes();
  const float* const scales = row_scales + static_cast<size_t>(tile) * kTileRows;
  const int first_column = step * kStepColumns + part * kPartColumns;
  const auto pack = [&](int place) {
    return Pack8(source, form, RowAt(form, outputs, tile, place), first_column, lane % 4, depth, scales[place]);
  };
  const uint2 first = pack(g);
  const uint2 second = pack(g + kTileUnits);
  if (form.codes == Codes::kInt4)
    *reinterpret_cast<uint2*>(record + part / 2 * 512 + lane * 16 + part % 2 * 8) = {first.x, second.x};
  else
    *reinterpret_cast<uint4*>(record + part * 512 + lane * 16) = {first.x, first.y, second.x, second.y};

  const int groups = form.groups_in_step();
  if (static_cast<int>(threadIdx.x) >= kTileUnits * groups * 2) return;
  const int at = static_cast<int>(threadIdx.x);  // [8, groups, 2]
  const int place = at / (groups * 2) + at % 2 * kTileUnits;
  const int row = RowAt(form, outputs, tile, place);
  const int group_k = step * kStepColumns + at / 2 % groups * (kStepColumns / groups);
  const float2 scale = row < 0 || group_k >= depth ? float2{} : source.GroupScale(row, group_k);
  __half* const to = reinterpret_cast<__half*>(record + form.code_bytes()) + at * (form.has_zeros() ? 2 : 1);
  const float row_scale = row < 0 ? 1 : scales[place];
  to[0] = __float2half_rn(scale.x / row_scale);
  if (form.has_zeros()) to[1] = __float2half_rn(scale.y / row_scale);
}

template <typename Source>
void Pack(const LinearShape& shape, const Source& source, void* packed, cudaStream_t stream) {
  const PackedShape records(shape.outputs, shape.depth);
  unsigned char* const bytes = static_cast<unsigned char*>(packed);
  float* const row_scales = reinterpret_cast<float*>(bytes + records.row_scales_offset(shape.form));
  const unsigned tiles = static_cast<unsigned>(records.tiles);
  Launch("pack_row_scales", RowScalesKernel<Source>, {dim3(tiles), dim3(kTileRows * kWarpSize)}, stream, source,
         shape.form, shape.outputs, row_scales);
  Launch("pack", PackKernel<Source>, {dim3(tiles, static_cast<unsigned>(records.steps)), dim3(kThreads)}, stream,
         source, shape.form, shape.outputs, shape.depth, row_scales, bytes);
}

__device__ float ValueOf(Codes codes, uint32_t code) {
  if (codes == Codes::kInt4) return static_cast<float>(code) - 8;
  if (codes == Codes::kInt8) return static_cast<float>(code) - 128;
  // As float16 E4M3 is itself times 2^-8.
  const uint16_t bits = static_cast<uint16_t>((code & 0x80) << 8 | (code & 0x7f) << 7);
  return __half2float(__half(__half_raw{bits})) * 0x1p8f;
}

constexpr int kExpandWarps = 8;

// A warp expands a record: each lane what it holds of it.
template <typename T, Codes kCodes>
__global__ void __launch_bounds__(kExpandWarps* kWarpSize)
    ExpandKernel(const unsigned char* packed, WeightForm form, int outputs, int depth, int steps,
                 size_t row_scales_offset, T* expanded) {
  WaitForPredecessor();
  const int step = static_cast<int>(blockIdx.y) * kExpandWarps + static_cast<int>(threadIdx.x / kWarpSize);
  if (step >= steps) return;
  const int tile = static_cast<int>(blockIdx.x);
  const int lane = static_cast<int>(threadIdx.x % kWarpSize);
  const int g = lane / 4;
  const unsigned char* const record = packed + (static_cast<size_t>(tile) * steps + step) * form.record_bytes();
  const float* const row_scales = reinterpret_cast<const float*>(packed + row_scales_offset) + tile * kTileRows;
  const int groups = form.groups_in_step();
#pragma unroll
  for (int second = 0; second < 2; ++second) {
    const int row = RowAt(form, outputs, tile, g + second * kTileUnits);
    if (row < 0) continue;
    const float row_scale = row_scales[g + second * kTileUnits];
#pragma unroll
    for (int part = 0; part < kStepColumns / kPartColumns; ++part) {
      const uint32_t* const words = reinterpret_cast<const uint32_t*>(
          kCodes == Codes::kInt4 ? record + part / 2 * 512 + lane * 16 + part % 2 * 8 + second * 4
                                 : record + part * 512 + lane * 16 + second * 8);
      constexpr uint32_t kMask = kCodes == Codes::kInt4 ? 15 : 255;
      T values[kCodesAtOnce];
#pragma unroll
      for (int i = 0; i < kCodesAtOnce; ++i) {
        float scale = row_scale;
        float zero = 0;
        if (groups > 0) {
          const int group = (part * kPartColumns + form.column(lane % 4, i)) / (kStepColumns / groups);
          const __half* const at = reinterpret_cast<const __half*>(record + form.code_bytes()) +
                                   ((g * groups + group) * 2 + second) * (form.has_zeros() ? 2 : 1);
          scale *= __half2float(at[0]);
          if (form.has_zeros()) zero = __half2float(at[1]) * row_scale;
        }
        const int2 place = PlaceOfCode(kCodes, i);
        values[i] = FromFloat<T>(fmaf(scale, ValueOf(kCodes, words[place.x] >> place.y & kMask), zero));
      }
      // Neighbours in fours: with groups of 16 the second four lie 16 columns further.
#pragma unroll
      for (int i = 0; i < kCodesAtOnce; i += 4) {
        const int k = step * kStepColumns + part * kPartColumns + form.column(lane % 4, i);
        if (k >= depth) continue;
        *reinterpret_cast<uint2*>(expanded + static_cast<size_t>(row) * depth + k) =
            *reinterpret_cast<const uint2*>(values + i);
      }
    }
  }
}

}  // namespace

void PackElements(const LinearShape& shape, const void* elements, void* packed, cudaStream_t stream) {
  WithElement(shape.element, [&](auto element) {
    using T = decltype(element);
    const float half_of_codes = shape.form.codes == Codes::kInt4 ? 8 : 128;
    Pack(shape, ElementRows<T>{static_cast<const T*>(elements), shape.depth, half_of_codes}, packed, stream);
  });
}

void PackInt4(const LinearShape& shape, const Int4Source& source, void* packed, cudaStream_t stream) {
  Pack(shape, Int4Rows{source, shape.depth}, packed, stream);
}

void PackFp8(const LinearShape& shape, const Fp8Source& source, void* packed, cudaStream_t stream) {
  Pack(shape, Fp8Rows{source, shape.depth}, packed, stream);
}

void PackBlocks(const LinearShape& shape, const BlocksSource& source, void* packed, cudaStream_t stream) {
  const int group_size = kStepColumns / shape.form.groups_in_step();
  Pack(shape,
       BlockRows{source, shape.depth, shape.depth / group_size, group_size, shape.form.codes == Codes::kInt4 ? 8 : 128},
       packed, stream);
}

void DecodeBlocks(Element element, int rows, int depth, const BlocksSource& source, void* elements,
                  cudaStream_t stream) {
  WithElement(element, [&](auto type) {
    using T = decltype(type);
    Launch("decode_blocks", DecodeBlocksKernel<T>,
           {dim3(static_cast<unsigned>(rows), static_cast<unsigned>(CeilDivide(depth, kThreads))), dim3(kThreads)},
           stream, BlockRows{source, depth, 0, 0, 0}, static_cast<T*>(elements));
  });
}

void ExpandWeights(const LinearShape& shape, const void* weights, void* expanded, cudaStream_t stream) {
  const PackedShape records(shape.outputs, shape.depth);
  WithElement(shape.element, [&](auto element) {
    using T = decltype(element);
    const auto kernel = shape.form.codes == Codes::kInt4   ? ExpandKernel<T, Codes::kInt4>
                        : shape.form.codes == Codes::kInt8 ? ExpandKernel<T, Codes::kInt8>
                                                           : ExpandKernel<T, Codes::kFp8>;
    Launch("expand_weights", kernel,
           {dim3(static_cast<unsigned>(records.tiles), static_cast<unsigned>(CeilDivide(records.steps, kExpandWarps))),
            dim3(kExpandWarps * kWarpSize)},
           stream, static_cast<const unsigned char*>(weights), shape.form, shape.outputs, shape.depth, records.steps,
           records.row_scales_offset(shape.form), static_cast<T*>(expanded));
  });
}

}  // namespace embedded::cuda
