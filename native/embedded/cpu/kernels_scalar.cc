// The plain twin of the fast kernels: the meaning, for reading and for tests.
#include <math.h>

#include "native/embedded/cpu/blocks.h"
#include "native/embedded/cpu/float16.h"
#include "native/embedded/cpu/float_layout.h"
#include "native/embedded/cpu/kernels.h"

namespace embedded::cpu {
namespace {

template <PanelType type>
float Load(const void* panel, size_t index) {
  if constexpr (type == PanelType::kFloat32) return static_cast<const float*>(panel)[index];
  if constexpr (type == PanelType::kInt8) return static_cast<const int8_t*>(panel)[index];
  const uint16_t bits = static_cast<const uint16_t*>(panel)[index];
  return type == PanelType::kFloat16 ? Float16ToFloat(bits) : Bfloat16ToFloat(bits);
}

template <PanelType type>
void PanelProductOf(const PanelProduct& p) {
  for (int r = 0; r < p.rows; ++r) {
    float sums[kPanelWidth] = {};
    for (int d = 0; d < p.depth; ++d)
      for (int c = 0; c < kPanelWidth; ++c)
        sums[c] += p.x[r * p.x_stride + d] * Load<type>(p.panel, d * p.panel_stride + c);
    float* out = p.out + r * p.out_stride;
    for (int c = 0; c < kPanelWidth; ++c) out[c] = p.add_to_out ? out[c] + sums[c] : sums[c];
  }
}

template <WeightType type>
constexpr Layout kFloatLayout = FloatLayout<type, PanelProductOf<static_cast<PanelType>(type)>>::kLayout;

void RmsNorm(const float* x, const float* weight, float epsilon, int size, float* out) {
  float squares = 0;
  for (int i = 0; i < size; ++i) squares += x[i] * x[i];
  const float factor = 1.0f / sqrtf(squares / static_cast<float>(size) + epsilon);
  for (int i = 0; i < size; ++i) out[i] = x[i] * factor * weight[i];
}

void SiluMultiply(const float* a, const float* b, int size, float* out) {
  for (int i = 0; i < size; ++i) out[i] = a[i] / (1.0f + expf(-a[i])) * b[i];
}

float Max(const float* x, int size) {
  float max = -INFINITY;
  for (int i = 0; i < size; ++i) max = x[i] > max ? x[i] : max;
  return max;
}

float SoftmaxBlock(float* scores, int valid, SoftmaxState* state) {
  const float block_max = Max(scores, valid);
  const float max = block_max > state->max ? block_max : state->max;
  const float factor = expf(state->max - max);
  float sum = 0;
  for (int i = 0; i < kPanelWidth; ++i) {
    scores[i] = i < valid ? expf(scores[i] - max) : 0.0f;
    sum += scores[i];
  }
  state->sum = state->sum * factor + sum;
  state->max = max;
  return factor;
}

void Scale(float* x, float factor, int size) {
  for (int i = 0; i < size; ++i) x[i] *= factor;
}

void ExpShifted(const float* x, float max, float factor, int size, float* out) {
  for (int i = 0; i < size; ++i) out[i] = expf((x[i] - max) * factor);
}

size_t BlockInputBytes(int depth) { return static_cast<size_t>(depth / kBlockDepth) * sizeof(InputBlock); }

void PrepareBlockInput(const float* x, int depth, void* out) {
  auto* block = static_cast<InputBlock*>(out);
  for (int d = 0; d < depth; d += kBlockDepth, x += kBlockDepth, ++block) {
    float largest = 0;
    bool is_finite = true;
    for (int i = 0; i < kBlockDepth; ++i) {
      largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
      is_finite = is_finite && isfinite(x[i]);
    }
    const bool counts = is_finite && largest >= kLeastInput;
    int sums[3] = {0, 0, 0};
    for (int i = 0; i < kBlockDepth; ++i) {
      block->values[i] = counts ? static_cast<int8_t>(lrintf(x[i] * (127.0f / largest))) : 0;
      sums[i / 16] += block->values[i];
      sums[2] += block->values[i];
    }
    block->scale = !is_finite ? NAN : counts ? largest / 127.0f : 0.0f;
    for (int i = 0; i < 3; ++i) {
      block->minus_sums[i] = -sums[i];
      block->scaled_sums[i] = static_cast<float>(sums[i]) * block->scale;
    }
  }
}

template <typename Type>
void BlockProduct(const LayoutProduct& p) {
  constexpr int kBlocks = BlockPanel<Type>::kBlocks;
  const auto* panels = static_cast<const BlockPanel<Type>*>(p.panel);
  for (int column = 0; column < kPanelWidth; ++column) {
    if (!p.add_to_out)
      for (int row = 0; row < p.rows; ++row) p.out[row * p.out_stride + column] = 0;
    for (int block = 0; block < p.depth / kBlockDepth; ++block) {
      const ColumnBlock weights = panels[block / kBlocks].Read(block % kBlocks, column);
      for (int row = 0; row < p.rows; ++row) {
        const auto& x = reinterpret_cast<const InputBlock*>(static_cast<const char*>(p.x) + row * p.x_stride)[block];
        float* const out = p.out + row * p.out_stride + column;
        for (int first = 0; first < kBlockDepth; first += Type::kGroup) {
          int whole = 0, sum = 0;
          for (int i = first; i < first + Type::kGroup; ++i) {
            whole += (weights.q[i] - Type::kOffset) * x.values[i];
            sum += x.values[i];
          }
          *out += weights.scales[first / 16] * x.scale * static_cast<float>(whole);
          *out -= weights.mins[first / 16] * (x.scale * static_cast<float>(sum));
        }
      }
    }
  }
}

constexpr InputForm kBlockInput = {BlockInputBytes, PrepareBlockInput};
template <typename Type>
constexpr Layout kBlockLayout = {BlockPanel<Type>::Bytes, BlockPanel<Type>::Pack, BlockPanel<Type>::Unpack,
                                 &kBlockInput, BlockProduct<Type>};

void ToFloat16(const float* x, int size, uint16_t* out) {
  constexpr float kMost = 65504;
  for (int i = 0; i < size; ++i) {
    const float value = x[i] > kMost ? kMost : x[i] < -kMost ? -kMost : x[i];
    out[i] = isnan(value) ? 0x7E00 : FloatToFloat16(value);
  }
}

float MaxMagnitude(const float* x, int size) {
  float max = 0;
  for (int i = 0; i < size; ++i) {
    if (!isfinite(x[i])) return NAN;
    max = fabsf(x[i]) > max ? fabsf(x[i]) : max;
  }
  return max;
}

void ToInt8(const float* x, float factor, int size, int8_t* out) {
  for (int i = 0; i < size; ++i) out[i] = static_cast<int8_t>(lrintf(x[i] * factor));
}

}  // namespace

const Kernels kScalarKernels = {
    "scalar",
    {&kFloatLayout<WeightType::kFloat32>, &kFloatLayout<WeightType::kFloat16>, &kFloatLayout<WeightType::kBfloat16>,
     &kBlockLayout<Q4_0>, &kBlockLayout<Q4_1>, &kBlockLayout<Q5_0>, &kBlockLayout<Q5_1>, &kBlockLayout<Q8_0>,
     &kBlockLayout<Q2_K>, &kBlockLayout<Q3_K>, &kBlockLayout<Q4_K>, &kBlockLayout<Q5_K>, &kBlockLayout<Q6_K>},
    {PanelProductOf<PanelType::kFloat32>, PanelProductOf<PanelType::kFloat16>, PanelProductOf<PanelType::kBfloat16>,
     PanelProductOf<PanelType::kInt8>},
    RmsNorm,
    SiluMultiply,
    SoftmaxBlock,
    Scale,
    Max,
    ExpShifted,
    ToFloat16,
    MaxMagnitude,
    ToInt8,
    &kScalarScaledLayouts};

}  // namespace embedded::cpu
