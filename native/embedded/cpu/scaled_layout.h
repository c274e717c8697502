// Matrices of small numbers with float scales, which are TensorRT-LLM's quantized forms: int8 or FP8 with a scale for each
// output, int4 with a scale and a zero point for each group of inputs. Rules of inclusion: kernels.h.
//
// A product expands the weights of a panel to fp32, kDepthPerSum inputs at a time, and multiplies as a matrix of float32
// does. So the result has the bits that the dequantized matrix would give.
#ifndef EMBEDDED_CPU_SCALED_LAYOUT_H_
#define EMBEDDED_CPU_SCALED_LAYOUT_H_

#include "native/embedded/cpu/kernels.h"

namespace embedded::cpu {

// What `pack` of these layouts takes as the rows of a panel.
struct ScaledRows {
  const int8_t* codes;   // [row_count, depth]: int8, the bits of FP8 (E4M3, finite), or int4 from -8 to 7
  const float* scales;   // [row_count, groups]
  const float* zeros;    // [row_count, groups], of int4: w = (code + zero) * scale; null: 0
  const float* factors;  // [depth], of int4: what the weights of each input are multiplied by; null: 1
};

// Inputs that share a scale.
constexpr int GroupSize(ScaledType type, int depth) {
  switch (type) {
    case ScaledType::kInt4By32:
    case ScaledType::kInt4By32Factors:
      return 32;
    case ScaledType::kInt4By64:
    case ScaledType::kInt4By64Factors:
      return 64;
    case ScaledType::kInt4By128:
    case ScaledType::kInt4By128Factors:
      return 128;
    default:
      return depth;
  }
}

// A panel. Of int8 and FP8: scales [32], then [depth, 32] bytes; FP8's scales are 256 times as large. Of int4: for
// each group scales [32], zeros less 8 [32], then [group size, 16] bytes, outputs 0 to 15 in the low four bits and 16 to
// 31 in the high ones, 8 more than they are; then factors [depth], if the type has them.
template <ScaledType type>
struct ScaledPanel {
  static constexpr bool kIsInt4 = type != ScaledType::kInt8 && type != ScaledType::kFp8;
  static constexpr bool kHasFactors = type == ScaledType::kInt4By32Factors || type == ScaledType::kInt4By64Factors ||
                                      type == ScaledType::kInt4By128Factors;
  static constexpr size_t kScaleBytes = kPanelWidth * sizeof(float);
  static constexpr size_t kRowBytes = kIsInt4 ? kPanelWidth / 2 : kPanelWidth;  // of one input

  static size_t GroupBytes(int depth) {
    return (kIsInt4 ? 2 : 1) * kScaleBytes + kRowBytes * static_cast<size_t>(GroupSize(type, depth));
  }
  static size_t FactorsAt(int depth) { return GroupBytes(depth) * static_cast<size_t>(depth / GroupSize(type, depth)); }
  static size_t Bytes(int depth) {
    const size_t bytes = FactorsAt(depth) + (kHasFactors ? sizeof(float) * static_cast<size_t>(depth) : 0);
    return (bytes + 63) / 64 * 64;
  }
  static void Pack(const void* rows, int row_count, int depth, void* panel);
  static void Unpack(const void* panel, int column, int depth, float* out);
};

// V has: Float, kVectors of which are the 32 outputs, kLanes, Load, Store, Set, Add, Mul, and the codes of one input as floats: Int8,
// Fp8 (2^-8 of the values: their bits are those of a float16 but for the bias) and Int4 (0 to 15). Also kRows, the most rows
// of input that are multiplied while the weights are in registers, and if it is not 0, Zero and MulAdd (a * b + c).
template <typename V, ScaledType type, const Kernels* kernels>
struct ScaledLayout {
  using Panel = ScaledPanel<type>;
  using Float = typename V::Float;
  static constexpr int kVectors = V::kVectors;

  // Calls use(d, weights) for `count` inputs from `first` on.
  template <typename Use>
  static void Walk(const char* panel, int depth, int first, int count, const Use& use) {
    const int group_size = GroupSize(type, depth);
    for (int d = first; d < first + count;) {
      const int group = d / group_size;
      const char* at = panel + Panel::GroupBytes(depth) * static_cast<size_t>(group);
      Float scales[kVectors];
      Float zeros[kVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        scales[v] = V::Load(reinterpret_cast<const float*>(at) + v * V::kLanes);
        if constexpr (Panel::kIsInt4)
          zeros[v] = V::Load(reinterpret_cast<const float*>(at) + kPanelWidth + v * V::kLanes);
      }
      at += (Panel::kIsInt4 ? 2 : 1) * Panel::kScaleBytes +
            Panel::kRowBytes * static_cast<size_t>(d - group * group_size);
      const int group_end = (group + 1) * group_size;
      const int end = group_end < first + count ? group_end : first + count;
      for (; d < end; ++d, at += Panel::kRowBytes) {
        Float weights[kVectors];
        if constexpr (type == ScaledType::kInt8) V::Int8(at, weights);
        if constexpr (type == ScaledType::kFp8) V::Fp8(at, weights);
        if constexpr (Panel::kIsInt4) V::Int4(at, weights);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) {
          if constexpr (Panel::kIsInt4) weights[v] = V::Add(weights[v], zeros[v]);
          weights[v] = V::Mul(weights[v], scales[v]);
          if constexpr (Panel::kHasFactors)
            weights[v] = V::Mul(weights[v], V::Set(reinterpret_cast<const float*>(panel + Panel::FactorsAt(depth))[d]));
        }
        use(d, weights);
      }
    }
  }

  // out [count, 32]
  static void Expand(const char* panel, int depth, int first, int count, float* out) {
    Walk(panel, depth, first, count, [&out](int, const Float(&weights)[kVectors]) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) V::Store(out + v * V::kLanes, weights[v]);
      out += kPanelWidth;
    });
  }

  // Adds up in the order of the float product, which has the same bits.
  template <int rows>
  static void MultiplyRows(const LayoutProduct& p) {
    const size_t stride = p.x_stride / sizeof(float);
    const auto* const x = static_cast<const float*>(p.x);
    for (int depth = 0; depth < p.depth; depth += kDepthPerSum) {
      const int left = p.depth - depth;
      Float sums[rows][kVectors];
#pragma GCC unroll 4
      for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) sums[r][v] = V::Zero();
      Walk(static_cast<const char*>(p.panel), p.depth, depth, left < kDepthPerSum ? left : kDepthPerSum,
           [&](int d, const Float(&weights)[kVectors]) {
#pragma GCC unroll 4
             for (int r = 0; r < rows; ++r) {
               const Float input = V::Set(x[r * stride + static_cast<size_t>(d)]);
#pragma GCC unroll 4
               for (int v = 0; v < kVectors; ++v) sums[r][v] = V::MulAdd(input, weights[v], sums[r][v]);
             }
           });
#pragma GCC unroll 4
      for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) {
          float* const out = p.out + r * p.out_stride + v * V::kLanes;
          V::Store(out, p.add_to_out || depth > 0 ? V::Add(V::Load(out), sums[r][v]) : sums[r][v]);
        }
    }
  }

  static void Product(const LayoutProduct& p) {
    if constexpr (V::kRows > 0) {
      if (p.rows == 1) return MultiplyRows<1>(p);
      if (p.rows == 2 && V::kRows >= 2) return MultiplyRows<2>(p);
      if (p.rows == 3 && V::kRows >= 3) return MultiplyRows<3>(p);
      if (p.rows == 4 && V::kRows >= 4) return MultiplyRows<4>(p);
    }
    alignas(64) float weights[kDepthPerSum * kPanelWidth];
    for (int depth = 0; depth < p.depth; depth += kDepthPerSum) {
      const int left = p.depth - depth;
      const int count = left < kDepthPerSum ? left : kDepthPerSum;
      Expand(static_cast<const char*>(p.panel), p.depth, depth, count, weights);
      kernels->panel_products[0]({static_cast<const float*>(p.x) + depth, p.x_stride / sizeof(float), weights,
                                  kPanelWidth, p.out, p.out_stride, p.rows, count, p.add_to_out || depth > 0});
    }
  }

  static constexpr Layout kLayout = {Panel::Bytes, Panel::Pack, Panel::Unpack, nullptr, Product};
};

// Of a set of kernels, by ScaledType.
template <typename V, const Kernels* kernels>
constexpr ScaledLayouts kScaledLayoutsOf = {
    {&ScaledLayout<V, ScaledType::kInt8, kernels>::kLayout, &ScaledLayout<V, ScaledType::kFp8, kernels>::kLayout,
     &ScaledLayout<V, ScaledType::kInt4, kernels>::kLayout, &ScaledLayout<V, ScaledType::kInt4By32, kernels>::kLayout,
     &ScaledLayout<V, ScaledType::kInt4By64, kernels>::kLayout,
     &ScaledLayout<V, ScaledType::kInt4By128, kernels>::kLayout,
     &ScaledLayout<V, ScaledType::kInt4By32Factors, kernels>::kLayout,
     &ScaledLayout<V, ScaledType::kInt4By64Factors, kernels>::kLayout,
     &ScaledLayout<V, ScaledType::kInt4By128Factors, kernels>::kLayout}};

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_SCALED_LAYOUT_H_
