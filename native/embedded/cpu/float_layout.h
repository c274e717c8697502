// Matrices of floats: panels [depth, 32], as PanelProduct takes them. Rules of inclusion: kernels.h.
#ifndef EMBEDDED_CPU_FLOAT_LAYOUT_H_
#define EMBEDDED_CPU_FLOAT_LAYOUT_H_

#include "native/embedded/cpu/kernels.h"

namespace embedded::cpu {

template <WeightType type>
struct FloatPanel {
  static constexpr size_t kElementBytes = type == WeightType::kFloat32 ? 4 : 2;
  static size_t Bytes(int depth);
  static void Pack(const void* rows, int row_count, int depth, void* panel);
  static void Unpack(const void* panel, int column, int depth, float* out);
};

// `product` is of one kernel file, so each file gets functions of its own.
template <WeightType type, void (*product)(const PanelProduct&)>
struct FloatLayout {
  static void Product(const LayoutProduct& p) {
    constexpr size_t kRowBytes = kPanelWidth * FloatPanel<type>::kElementBytes;
    for (int depth = 0; depth < p.depth; depth += kDepthPerSum) {
      const int left = p.depth - depth;
      product({static_cast<const float*>(p.x) + depth, p.x_stride / sizeof(float),
               static_cast<const char*>(p.panel) + depth * kRowBytes, kPanelWidth, p.out, p.out_stride, p.rows,
               left < kDepthPerSum ? left : kDepthPerSum, p.add_to_out || depth > 0});
    }
  }

  static constexpr Layout kLayout = {FloatPanel<type>::Bytes, FloatPanel<type>::Pack, FloatPanel<type>::Unpack, nullptr,
                                     Product};
};

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_FLOAT_LAYOUT_H_
