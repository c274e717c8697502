// Rotary position embedding, rotate-half form (arXiv:2104.09864).
#ifndef EMBEDDED_CPU_ROPE_H_
#define EMBEDDED_CPU_ROPE_H_

#include <vector>

#include "native/embedded/checkpoint/config.h"

namespace embedded::cpu {

// Angles for the positions of one step.
class Rope {
 public:
  explicit Rope(const ModelConfig& model);

  // cos and sin of position * frequency: [head_dim / 2] each. The product is rounded to fp32 first, as Hugging Face and
  // TensorRT-LLM do: at position 8,000 that rounding is up to 2e-4 rad, so a more exact angle would be another model.
  void Angles(int position, float* cos, float* sin) const;

  // Rotates one head: (x[i], x[i + half]) by the i-th angle.
  void Rotate(const float* cos, const float* sin, float* head) const;

  const std::vector<float>& frequencies() const { return frequencies_; }

 private:
  std::vector<float> frequencies_;  // [head_dim / 2] radians for each position
};

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_ROPE_H_
