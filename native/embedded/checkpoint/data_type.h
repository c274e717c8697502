// The types that a checkpoint's weights may have.
#ifndef EMBEDDED_DATA_TYPE_H_
#define EMBEDDED_DATA_TYPE_H_

#include <stddef.h>  // kernels include this too, and no C++ header
#include <stdint.h>

namespace embedded {

// Those behind the floats are ggml's blocks, byte for byte as in a GGUF file.
enum class WeightType : uint8_t {
  kFloat32,
  kFloat16,
  kBfloat16,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K
};
constexpr int kWeightTypes = 13;

// A row of a matrix is whole blocks; a float is a block of one.
struct WeightBlock {
  const char* type;  // as files name it
  int weights;
  int bytes;
};
const WeightBlock& BlockOf(WeightType type);

// Of `depth` weights, which are whole blocks.
size_t RowBytes(WeightType type, int depth);

}  // namespace embedded

#endif  // EMBEDDED_DATA_TYPE_H_
