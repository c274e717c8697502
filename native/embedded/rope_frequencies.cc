#include "native/embedded/rope_frequencies.h"

#include <cmath>

namespace embedded {
namespace {

constexpr double kPi = 3.14159265358979323846;

// Llama 3.1's rule: wavelengths shorter than the original context allows are kept, long ones are stretched by `factor`,
// and those between are mixed. Source: transformers, modeling_rope_utils, "llama3"; TensorRT-LLM, RotaryScalingType.
double ScaleLlama3(double frequency, const RopeScaling& scaling) {
  const double wavelength = 2 * kPi / frequency;
  const double shortest_stretched = scaling.original_max_positions / scaling.high_freq_factor;
  const double longest_kept = scaling.original_max_positions / scaling.low_freq_factor;
  if (wavelength < shortest_stretched) return frequency;
  if (wavelength > longest_kept) return frequency / scaling.factor;
  const double smooth = (scaling.original_max_positions / wavelength - scaling.low_freq_factor) /
                        (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1 - smooth) * frequency / scaling.factor + smooth * frequency;
}

}  // namespace

std::vector<float> RopeFrequencies(const ModelConfig& model) {
  std::vector<float> frequencies;
  for (int i = 0; i < model.head_dim; i += 2) {
    // The references take the power and its inverse in fp32.
    const float power = static_cast<float>(std::pow(model.rotary_base, static_cast<float>(i) / model.head_dim));
    float frequency = 1.0f / power;
    if (model.rope_scaling.type == RopeScalingType::kLinear) frequency /= static_cast<float>(model.rope_scaling.factor);
    if (model.rope_scaling.type == RopeScalingType::kLlama3)
      frequency = static_cast<float>(ScaleLlama3(frequency, model.rope_scaling));
    frequencies.push_back(frequency);
  }
  return frequencies;
}

}  // namespace embedded
