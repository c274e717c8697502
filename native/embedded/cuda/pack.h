// Packs weights (packed.h) on the GPU. What it reads is in device memory, rows in the matrix's own order; `shape` has the form.
#ifndef EMBEDDED_CUDA_PACK_H_
#define EMBEDDED_CUDA_PACK_H_

#include <cuda_runtime.h>

#include <cstdint>

#include "native/embedded/checkpoint/data_type.h"
#include "native/embedded/cuda/linear.h"

namespace embedded::cuda {

// Quantizes elements [outputs, depth] by row, symmetrically: scale = max |row| / 128, or / 8 for 4 bits, q = w / scale rounded, halves
// away from zero, and clamped. Codes are kInt8 or kInt4, scales kRows.
void PackElements(const LinearShape& shape, const void* elements, void* packed, cudaStream_t stream);

// Of W4A16_AWQ (lib/engine/directory/quantization.ts): two's complement, the even output in the low four bits.
struct Int4Source {
  const uint8_t* pairs;  // [outputs / 2, depth]
  const float* scales;   // [outputs, groups]
  const float* zeros;    // [parts, groups, part_rows], added to what the scale gives; null: none
  int group_size;        // a multiple of 32; of 128 where the form has groups of 128
  int part_rows;         // of each of the matrices that lie one below the other; even
};
void PackInt4(const LinearShape& shape, const Int4Source& source, void* packed, cudaStream_t stream);

struct Fp8Source {
  const uint8_t* bytes;     // [outputs, depth] E4M3
  const float* row_scales;  // [outputs]
};
void PackFp8(const LinearShape& shape, const Fp8Source& source, void* packed, cudaStream_t stream);

// Matrices in ggml's blocks, one below the other; the form is that of the types, or a common one.
struct BlocksSource {
  struct Part {
    WeightType type;
    const uint8_t* blocks;
    int rows;
    int block_weights;
    int block_bytes;
  };
  Part parts[3];
};
void PackBlocks(const LinearShape& shape, const BlocksSource& source, void* packed, cudaStream_t stream);
// The weights of such blocks as elements [rows, depth].
void DecodeBlocks(Element element, int rows, int depth, const BlocksSource& source, void* elements,
                  cudaStream_t stream);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_PACK_H_
