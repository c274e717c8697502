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

  // cos and sin of position * frequency: [head_dim / 2] each, as rope_frequencies.h says. Dynamic scaling goes by the
  // tokens the sequence has when this one is computed, as transformers has it for a request alone: a prompt is computed
  // at once, then one token after the other. Neither batch nor chunk nor preemption plays a part.
  void Angles(int position, int prompt_tokens, float* cos, float* sin) const;

  // Rotates one head: (x[i], x[i + half]) by the i-th angle.
  void Rotate(const float* cos, const float* sin, float* head) const;

  const std::vector<float>& frequencies() const { return frequencies_; }

 private:
  ModelConfig model_;
  std::vector<float> frequencies_;
  float attention_factor_;
};

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_ROPE_H_
