// The types that a checkpoint's weights may have.
#ifndef EMBEDDED_DATA_TYPE_H_
#define EMBEDDED_DATA_TYPE_H_

#include <stdint.h>  // kernels include it too, and no C++ header

namespace embedded {

enum class WeightType : uint8_t { kFloat32 = 0, kFloat16 = 1, kBfloat16 = 2 };

}  // namespace embedded

#endif  // EMBEDDED_DATA_TYPE_H_
