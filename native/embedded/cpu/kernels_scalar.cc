// The plain twin of the fast kernels: the meaning, for reading and for tests.
#include <math.h>

#include "native/embedded/cpu/float16.h"
#include "native/embedded/cpu/float_layout.h"
#include "native/embedded/cpu/kernels.h"

namespace embedded::cpu {
namespace {

template <WeightType type>
float Load(const void* panel, size_t index) {
  if constexpr (type == WeightType::kFloat32) return static_cast<const float*>(panel)[index];
  const uint16_t bits = static_cast<const uint16_t*>(panel)[index];
  return type == WeightType::kFloat16 ? Float16ToFloat(bits) : Bfloat16ToFloat(bits);
}

template <WeightType type>
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
constexpr Layout kFloatLayout = FloatLayout<type, PanelProductOf<type>>::kLayout;

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

}  // namespace

const Kernels kScalarKernels = {
    "scalar",
    {&kFloatLayout<WeightType::kFloat32>, &kFloatLayout<WeightType::kFloat16>, &kFloatLayout<WeightType::kBfloat16>},
    {PanelProductOf<WeightType::kFloat32>, PanelProductOf<WeightType::kFloat16>, PanelProductOf<WeightType::kBfloat16>},
    RmsNorm,
    SiluMultiply,
    SoftmaxBlock,
    Scale,
    Max,
    ExpShifted};

}  // namespace embedded::cpu
