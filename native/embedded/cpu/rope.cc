#include "native/embedded/cpu/rope.h"

#include <cmath>
#include <cstddef>

#include "native/embedded/rope_frequencies.h"

namespace embedded::cpu {

Rope::Rope(const ModelConfig& model) : frequencies_(RopeFrequencies(model)) {}

void Rope::Angles(int position, float* cos, float* sin) const {
  for (size_t i = 0; i < frequencies_.size(); ++i) {
    const float angle = static_cast<float>(position) * frequencies_[i];
    cos[i] = std::cos(angle);
    sin[i] = std::sin(angle);
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
