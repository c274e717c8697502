#include "native/embedded/cpu/scaled_layout.h"

#include <cstring>

#include "native/embedded/cpu/float16.h"
#include "native/embedded/cpu/scaled_scalar.h"

namespace embedded::cpu {

template <ScaledType type>
void ScaledPanel<type>::Pack(const void* rows, int row_count, int depth, void* panel) {
  const auto& from = *static_cast<const ScaledRows*>(rows);
  const int group_size = GroupSize(type, depth);
  const int groups = depth / group_size;
  auto* const bytes = static_cast<uint8_t*>(panel);
  for (int group = 0; group < groups; ++group) {
    uint8_t* at = bytes + GroupBytes(depth) * static_cast<size_t>(group);
    auto* const scales = reinterpret_cast<float*>(at);
    for (int r = 0; r < row_count; ++r) {
      const size_t of_row = static_cast<size_t>(r) * groups + group;
      scales[r] = from.scales[of_row] * (type == ScaledType::kFp8 ? 256.0f : 1.0f);
      if (kIsInt4) scales[kPanelWidth + r] = (from.zeros != nullptr ? from.zeros[of_row] : 0.0f) - 8.0f;
    }
    at += (kIsInt4 ? 2 : 1) * kScaleBytes;
    for (int d = 0; d < group_size; ++d, at += kRowBytes)
      for (int r = 0; r < row_count; ++r) {
        const int8_t code = from.codes[static_cast<size_t>(r) * depth + group * group_size + d];
        if (kIsInt4)
          at[r % 16] = static_cast<uint8_t>(at[r % 16] | (code + 8) << (r < 16 ? 0 : 4));
        else
          at[r] = static_cast<uint8_t>(code);
      }
  }
  if (kHasFactors) std::memcpy(bytes + FactorsAt(depth), from.factors, sizeof(float) * static_cast<size_t>(depth));
}

template <ScaledType type>
void ScaledPanel<type>::Unpack(const void* panel, int column, int depth, float* out) {
  float weights[kPanelWidth];
  for (int d = 0; d < depth; ++d) {
    ScaledLayout<ScaledScalar, type, &kScalarKernels>::Expand(static_cast<const char*>(panel), depth, d, 1, weights);
    out[d] = weights[column];
  }
}

template struct ScaledPanel<ScaledType::kInt8>;
template struct ScaledPanel<ScaledType::kFp8>;
template struct ScaledPanel<ScaledType::kInt4>;
template struct ScaledPanel<ScaledType::kInt4By32>;
template struct ScaledPanel<ScaledType::kInt4By64>;
template struct ScaledPanel<ScaledType::kInt4By128>;
template struct ScaledPanel<ScaledType::kInt4By32Factors>;
template struct ScaledPanel<ScaledType::kInt4By64Factors>;
template struct ScaledPanel<ScaledType::kInt4By128Factors>;

const ScaledLayouts kScalarScaledLayouts = kScaledLayoutsOf<ScaledScalar, &kScalarKernels>;

}  // namespace embedded::cpu
