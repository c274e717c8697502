#include "native/embedded/cpu/rope.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "native/embedded/rope_frequencies.h"

namespace embedded::cpu {

Rope::Rope(const ModelConfig& model)
    : model_(model),
      frequencies_(RopeFrequencies(model)),
      attention_factor_(static_cast<float>(model.rope_scaling.attention_factor)) {}

void Rope::Angles(int position, int prompt_tokens, float* cos, float* sin) const {
  const int sequence_tokens = std::max(prompt_tokens, position + 1);
  const bool is_stretched = model_.rope_scaling.type == RopeScalingType::kDynamic &&
                            sequence_tokens > model_.rope_scaling.original_max_positions;
  std::vector<float> stretched;
  if (is_stretched) stretched = RopeFrequencies(model_, sequence_tokens);
  const std::vector<float>& frequencies = is_stretched ? stretched : frequencies_;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const float angle = static_cast<float>(position) * frequencies[i];
    cos[i] = std::cos(angle) * attention_factor_;
    sin[i] = std::sin(angle) * attention_factor_;
  }
}

void Rope::Rotate(const float* cos, const float* sin, float* head) const {
  const size_t half = frequencies_.size();
  for (size_t i = 0; i < half; ++i) {
    const float low = head[i], high = head[i + half];
    head[i] = low * cos[i] - high * sin[i];
    head[i + half] = high * cos[i] + low * sin[i];
  }
}

}  // namespace embedded::cpu
