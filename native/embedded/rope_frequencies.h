// Rotary position embedding (arXiv:2104.09864): how fast each pair of a head turns, whatever device turns it.
#ifndef EMBEDDED_ROPE_FREQUENCIES_H_
#define EMBEDDED_ROPE_FREQUENCIES_H_

#include <vector>

#include "native/embedded/checkpoint/config.h"

namespace embedded {

// [head_dim / 2] radians for each position, the model's scaling applied. The angle of (position, i) is position * [i],
// rounded to fp32 before its cosine and sine are taken, as Hugging Face and TensorRT-LLM do: at position 8,000 that
// rounding is up to 2e-4 rad, so a more exact angle would be another model. Cosine and sine are multiplied by
// rope_scaling.attention_factor.
std::vector<float> RopeFrequencies(const ModelConfig& model);

// The same for a token that is computed when its sequence has `sequence_tokens` tokens, which dynamic scaling goes by.
std::vector<float> RopeFrequencies(const ModelConfig& model, int sequence_tokens);

}  // namespace embedded

#endif  // EMBEDDED_ROPE_FREQUENCIES_H_
