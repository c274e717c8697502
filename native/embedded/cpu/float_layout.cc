#include "native/embedded/cpu/float_layout.h"

#include <type_traits>

#include "native/embedded/cpu/float16.h"

namespace embedded::cpu {
namespace {

template <WeightType type>
using BitsOf = std::conditional_t<type == WeightType::kFloat32, uint32_t, uint16_t>;

}  // namespace

template <WeightType type>
size_t FloatPanel<type>::Bytes(int depth) {
  return size_t{kPanelWidth} * depth * kElementBytes;
}

template <WeightType type>
void FloatPanel<type>::Pack(const void* rows, int row_count, int depth, void* panel) {
  const auto* from = static_cast<const BitsOf<type>*>(rows);
  auto* to = static_cast<BitsOf<type>*>(panel);
  for (int d = 0; d < depth; ++d)
    for (int r = 0; r < row_count; ++r) to[size_t{kPanelWidth} * d + r] = from[static_cast<size_t>(r) * depth + d];
}

template <WeightType type>
void FloatPanel<type>::Unpack(const void* panel, int column, int depth, float* out) {
  const auto* bits = static_cast<const BitsOf<type>*>(panel) + column;
  for (int d = 0; d < depth; ++d, bits += kPanelWidth) {
    if constexpr (type == WeightType::kFloat32) out[d] = BitsToFloat(*bits);
    if constexpr (type == WeightType::kFloat16) out[d] = Float16ToFloat(*bits);
    if constexpr (type == WeightType::kBfloat16) out[d] = Bfloat16ToFloat(*bits);
  }
}

template struct FloatPanel<WeightType::kFloat32>;
template struct FloatPanel<WeightType::kFloat16>;
template struct FloatPanel<WeightType::kBfloat16>;

}  // namespace embedded::cpu
