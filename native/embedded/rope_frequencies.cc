#include "native/embedded/rope_frequencies.h"

#include <algorithm>
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

// Which of a head's pairs yarn keeps (1), which it stretches by `factor` (0), and how it mixes those between: pairs that
// turn more than beta_fast times in the original context are kept, those that turn less than beta_slow times stretched.
// Source: arXiv:2309.00071; transformers, modeling_rope_utils, "yarn".
class YarnRamp {
 public:
  explicit YarnRamp(const ModelConfig& model) {
    const RopeScaling& scaling = model.rope_scaling;
    const auto pair_that_turns = [&](double times) {
      return model.head_dim * std::log(scaling.original_max_positions / (times * 2 * kPi)) /
             (2 * std::log(model.rotary_base));
    };
    low_ = pair_that_turns(scaling.beta_fast);
    high_ = pair_that_turns(scaling.beta_slow);
    if (scaling.truncate) {
      low_ = std::floor(low_);
      high_ = std::ceil(high_);
    }
    low_ = std::max(low_, 0.0);
    high_ = std::min(high_, model.head_dim - 1.0);
    if (low_ == high_) high_ += 0.001;
  }

  float Kept(int pair) const {
    return 1.0f - std::clamp(static_cast<float>((static_cast<float>(pair) - low_) / (high_ - low_)), 0.0f, 1.0f);
  }

 private:
  double low_, high_;
};

// Dynamic NTK: the longer the sequence, the larger the base. Source: transformers, modeling_rope_utils, "dynamic".
double DynamicBase(const ModelConfig& model, int sequence_tokens) {
  const RopeScaling& scaling = model.rope_scaling;
  const double stretch = std::max(sequence_tokens / scaling.original_max_positions, 1.0);
  const double dim = model.head_dim;
  return model.rotary_base * std::pow(scaling.factor * stretch - (scaling.factor - 1), dim / (dim - 2));
}

}  // namespace

std::vector<float> RopeFrequencies(const ModelConfig& model) { return RopeFrequencies(model, 0); }

std::vector<float> RopeFrequencies(const ModelConfig& model, int sequence_tokens) {
  const RopeScaling& scaling = model.rope_scaling;
  const bool is_dynamic = scaling.type == RopeScalingType::kDynamic;
  const double base = is_dynamic ? DynamicBase(model, sequence_tokens) : model.rotary_base;
  const float factor = static_cast<float>(scaling.factor);
  const YarnRamp ramp(model);
  std::vector<float> frequencies;
  for (int i = 0; i < model.head_dim; i += 2) {
    // The references take the power and its inverse in fp32.
    const float power = static_cast<float>(std::pow(base, static_cast<float>(i) / model.head_dim));
    float frequency = 1.0f / power;
    if (scaling.type == RopeScalingType::kLinear) frequency /= factor;
    if (scaling.type == RopeScalingType::kLlama3) frequency = static_cast<float>(ScaleLlama3(frequency, scaling));
    if (scaling.type == RopeScalingType::kYarn) {
      const float kept = ramp.Kept(i / 2);
      frequency = 1.0f / (factor * power) * (1.0f - kept) + frequency * kept;
    }
    frequencies.push_back(frequency);
  }
  return frequencies;
}

}  // namespace embedded
