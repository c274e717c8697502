#include "native/embedded/cuda/convert.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cmath>

namespace embedded::cuda {
namespace {

float ToFloat(float x) { return x; }
float ToFloat(__half x) { return __half2float(x); }
float ToFloat(__nv_bfloat16 x) { return __bfloat162float(x); }

void Round(float x, __half* out) { *out = __float2half_rn(x); }
void Round(float x, __nv_bfloat16* out) { *out = __float2bfloat16_rn(x); }

template <typename From, typename To>
bool Convert(const void* in, size_t count, void* out) {
  const From* const from = static_cast<const From*>(in);
  To* const to = static_cast<To*>(out);
  for (size_t i = 0; i < count; ++i) {
    const float x = ToFloat(from[i]);
    Round(x, &to[i]);
    if (std::isfinite(x) && !std::isfinite(ToFloat(to[i]))) return false;
  }
  return true;
}

template <typename To>
bool ConvertTo(WeightType from, const void* in, size_t count, void* out) {
  switch (from) {
    case WeightType::kFloat32:
      return Convert<float, To>(in, count, out);
    case WeightType::kFloat16:
      return Convert<__half, To>(in, count, out);
    case WeightType::kBfloat16:
      return Convert<__nv_bfloat16, To>(in, count, out);
    default:
      return false;  // ggml's blocks, which SafetensorsFile::Find does not give
  }
}

}  // namespace

bool ConvertElements(WeightType from, const void* in, Element to, size_t count, void* out) {
  return to == Element::kBfloat16 ? ConvertTo<__nv_bfloat16>(from, in, count, out)
                                  : ConvertTo<__half>(from, in, count, out);
}

void ConvertToFloats(WeightType from, const void* in, size_t count, float* out) {
  const auto convert = [&](const auto* values) {
    for (size_t i = 0; i < count; ++i) out[i] = ToFloat(values[i]);
  };
  if (from == WeightType::kFloat32) return convert(static_cast<const float*>(in));
  if (from == WeightType::kFloat16) return convert(static_cast<const __half*>(in));
  convert(static_cast<const __nv_bfloat16*>(in));
}

}  // namespace embedded::cuda
