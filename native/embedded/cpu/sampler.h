// From logits to the next token.
#ifndef EMBEDDED_CPU_SAMPLER_H_
#define EMBEDDED_CPU_SAMPLER_H_

#include <cstdint>
#include <vector>

#include "native/embedded/beam_search.h"
#include "native/embedded/cpu/kernels.h"
#include "native/embedded/sampling.h"
#include "native/executor/cpp/logprobs.h"

namespace embedded::cpu {

using executor::TokenLogprob;

// One thread's sampler. Among equal logits the lower token id counts as the likelier.
class Sampler {
 public:
  Sampler(const Kernels& kernels, int vocab_size);

  // Temperature, then top-k, top-p and min-p as Hugging Face applies them, each on what the one before left, to logits
  // that went through LogitsProcessors. `uniform` is the draw, in [0, 1). A logit of -infinity is never drawn. -1 if the
  // logits have no finite maximum.
  int32_t Sample(const float* logits, const SamplingParams& params, double uniform);

  // The log-probability of `token`, of the logits as they are: before temperature and cuts.
  float Logprob(const float* logits, int32_t token);
  // The `count` likeliest tokens, likeliest first.
  std::vector<TokenLogprob> TopLogprobs(const float* logits, int count);

  // Of all tokens [vocab_size], valid until the next call of a member; null if the logits are not finite.
  const float* Logprobs(const float* logits);
  // The `count` tokens of the highest scores, the highest first, but for those with -infinity. `logprobs` are by Logprobs.
  std::vector<BeamCandidate> BeamCandidates(const float* scores, const float* logprobs, int count);

 private:
  struct Candidate {
    float weight;  // probability times a constant
    int32_t token;
  };
  // exp((logit - max) / temperature) of each token into weights_; returns their sum.
  double ComputeWeights(const float* logits, float max, float temperature);
  // executor::LogSumExp by these kernels.
  double LogSumExp(const float* logits);
  int32_t PickFromAll(double target) const;
  void CutTopK(int top_k);
  void CutTopP(double top_p);
  int32_t PickCandidate(double uniform) const;
  // Puts the `count` likeliest of candidates_ [first, end) in order at `first`.
  void SortLikeliest(size_t first, size_t count);

  const Kernels& kernels_;
  int vocab_size_;
  std::vector<float> weights_;      // [vocab_size]
  std::vector<double> block_sums_;  // of kBlock weights each
  std::vector<Candidate> candidates_;
  std::vector<TokenLogprob> sorted_;
};

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_SAMPLER_H_
