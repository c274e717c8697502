// What the CPU executor computes with: one set of these functions for each instruction set, all of one meaning.
//
// This header and the kernel files include no standard C++ header: an inline function compiled there for AVX-512 could
// be the copy the linker keeps for everybody.
//
// Results never depend on how work is cut. Each output is one chain of additions in the order of `depth`, whatever
// `rows` is, so a token gets the same bits alone, in a batch, in any chunk of a prompt and on any number of threads.
#ifndef EMBEDDED_CPU_KERNELS_H_
#define EMBEDDED_CPU_KERNELS_H_

#include <stddef.h>
#include <stdint.h>

#include "native/embedded/checkpoint/data_type.h"

namespace embedded::cpu {

using embedded::WeightType;

// A matrix is stored as panels of 32 outputs, [ceil(outputs / 32)] of them. A panel is read front to back once for several
// rows of input, which suits the memory (one stream) as well as the registers (no sum across lanes). What lies where in
// it, a layout says.
constexpr int kPanelWidth = 32;
// Sums of 256 products are added up one after the other: a piece of panel and input then stays in the first-level
// cache, and long sums lose less to rounding.
constexpr int kDepthPerSum = 256;

// What a panel of plain numbers is made of. The first three are WeightTypes of the same value.
enum class PanelType : uint8_t { kFloat32, kFloat16, kBfloat16, kInt8 };
constexpr int kPanelTypes = 4;

// A panel of plain numbers is [depth, 32].
//   out[r, c] = sum over d < depth of x[r, d] * panel[d, c], for r < rows and c < 32.
struct PanelProduct {
  const float* x;       // [rows, depth], rows x_stride apart
  size_t x_stride;      // floats
  const void* panel;    // [depth, 32], rows panel_stride apart
  size_t panel_stride;  // elements
  float* out;           // [rows, 32], rows out_stride apart
  size_t out_stride;    // floats
  int rows;
  int depth;
  bool add_to_out;  // out += the sum, rather than out = the sum
};

// What a layout's products read of the input in place of its floats, made once for all panels.
struct InputForm {
  size_t (*row_bytes)(int depth);
  void (*prepare)(const float* x, int depth, void* out);
};

// The product of prepared input and a whole panel of a layout, as PanelProduct says it of floats.
struct LayoutProduct {
  const void* x;    // [rows] of the layout's input form, x_stride apart
  size_t x_stride;  // bytes
  const void* panel;
  float* out;         // [rows, 32], rows out_stride apart
  size_t out_stride;  // floats
  int rows;
  int depth;
  bool add_to_out;
};

// How a set of kernels stores matrices of one type.
struct Layout {
  size_t (*panel_bytes)(int depth);  // a multiple of 64
  // Rows [row_count, depth] as the checkpoint has them to a panel, which is 0 before; its columns past row_count stay
  // without effect.
  void (*pack)(const void* rows, int row_count, int depth, void* panel);
  // The weights of one column, as fp32 [depth].
  void (*unpack)(const void* panel, int column, int depth, float* out);
  const InputForm* input;  // null: the floats themselves
  void (*product)(const LayoutProduct& product);
};

// Matrices of small numbers with float scales: scaled_layout.h. Int4 has a scale for each output, or for each group of inputs;
// factors multiply inputs.
enum class ScaledType : uint8_t {
  kInt8,
  kFp8,
  kInt4,
  kInt4By32,
  kInt4By64,
  kInt4By128,
  kInt4By32Factors,
  kInt4By64Factors,
  kInt4By128Factors
};
constexpr int kScaledTypes = 9;

struct ScaledLayouts {
  const Layout* by_type[kScaledTypes];
};

// The state of one query while it walks its keys block by block (online softmax, arXiv:1805.02867).
struct SoftmaxState {
  float max;  // of the scores so far; starts at -infinity
  float sum;  // of exp(score - max) so far
};

struct Kernels {
  const char* name;                                                  // as NODE_TENSORRT_LLM_CPU_KERNELS takes it
  const Layout* layouts[kWeightTypes];                               // by WeightType
  void (*panel_products[kPanelTypes])(const PanelProduct& product);  // by PanelType
  // out = x / sqrt(mean(x^2) + epsilon) * weight
  void (*rms_norm)(const float* x, const float* weight, float epsilon, int size, float* out);
  // out = a / (1 + exp(-a)) * b
  void (*silu_multiply)(const float* a, const float* b, int size, float* out);
  // scores [32] become exp(score - max), those from `valid` on 0. Returns what earlier sums are to be multiplied by.
  float (*softmax_block)(float* scores, int valid, SoftmaxState* state);
  // x *= factor
  void (*scale)(float* x, float factor, int size);
  float (*max)(const float* x, int size);
  // out = exp((x - max) * factor)
  void (*exp_shifted)(const float* x, float max, float factor, int size, float* out);
  // To the nearest float16; beyond its range, the largest. NaN stays.
  void (*to_float16)(const float* x, int size, uint16_t* out);
  // The largest |x|; NaN if one is infinite or no number.
  float (*max_magnitude)(const float* x, int size);
  // x * factor to the nearest whole number, ties to even; factor * |x| is at most 127.5.
  void (*to_int8)(const float* x, float factor, int size, int8_t* out);
  const ScaledLayouts* scaled_layouts;

  void panel_product(PanelType type, const PanelProduct& product) const {
    panel_products[static_cast<size_t>(type)](product);
  }
  const Layout& layout(WeightType type) const { return *layouts[static_cast<size_t>(type)]; }
  const Layout& layout(ScaledType type) const { return *scaled_layouts->by_type[static_cast<size_t>(type)]; }
};

extern const Kernels kScalarKernels;
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
extern const Kernels kAvx512Bf16Kernels;
extern const Kernels kAmxKernels;
// Puts the layouts for AVX-512 VNNI in the place of others.
void UseVnniBlocks(Kernels* kernels);
const Layout& VnniLayout(WeightType type);  // of blocks
// And AMX's in the place of VNNI's.
void UseAmxBlocks(Kernels* kernels);
extern const ScaledLayouts kScalarScaledLayouts;
extern const ScaledLayouts kAvx2ScaledLayouts;
extern const ScaledLayouts kAvx512ScaledLayouts;

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_KERNELS_H_
