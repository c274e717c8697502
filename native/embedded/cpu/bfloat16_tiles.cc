#include "native/embedded/cpu/bfloat16_tiles.h"

#include "native/embedded/cpu/float16.h"

namespace embedded::cpu {
namespace {

// Of input `d` and output `column` in a panel.
size_t IndexOf(int d, int column) {
  constexpr int kHalf = kPanelWidth / 2;
  const size_t half = static_cast<size_t>(d / Bfloat16Tiles::kStep) * 2 + column / kHalf;
  const size_t pair = half * (Bfloat16Tiles::kStep / 2) + d % Bfloat16Tiles::kStep / 2;
  return (pair * kHalf + column % kHalf) * 2 + d % 2;
}

}  // namespace

void Bfloat16Tiles::Pack(const void* rows, int row_count, int depth, void* panel) {
  const auto* from = static_cast<const uint16_t*>(rows);
  auto* to = static_cast<uint16_t*>(panel);
  for (int d = 0; d < depth; ++d)
    for (int r = 0; r < row_count; ++r) to[IndexOf(d, r)] = from[static_cast<size_t>(r) * depth + d];
}

void Bfloat16Tiles::Unpack(const void* panel, int column, int depth, float* out) {
  for (int d = 0; d < depth; ++d) out[d] = Bfloat16ToFloat(static_cast<const uint16_t*>(panel)[IndexOf(d, column)]);
}

}  // namespace embedded::cpu
