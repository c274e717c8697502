#include "native/embedded/cpu/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace embedded::cpu {
namespace {

constexpr int kBlock = 256;          // weights summed up before the sum of all is looked at
constexpr size_t kFirstSorted = 64;  // candidates that top-p looks at first; four times as many each time after

}  // namespace

Sampler::Sampler(const Kernels& kernels, int vocab_size)
    : kernels_(kernels),
      vocab_size_(vocab_size),
      weights_(static_cast<size_t>(vocab_size)),
      block_sums_((static_cast<size_t>(vocab_size) + kBlock - 1) / kBlock) {}

int32_t Sampler::Sample(const float* logits, const SamplingParams& params, double uniform) {
  const float max = kernels_.max(logits, vocab_size_);
  if (!std::isfinite(max)) return -1;
  if (params.temperature == 0) return static_cast<int32_t>(std::find(logits, logits + vocab_size_, max) - logits);
  const double sum = ComputeWeights(logits, max, params.temperature);
  if (!std::isfinite(sum)) return -1;
  const bool cuts_k = params.top_k > 0 && params.top_k < vocab_size_;
  const bool cuts_p = params.top_p < 1;
  if (!cuts_k && !cuts_p && params.min_p == 0) return PickFromAll(uniform * sum);

  // What the cuts would take anyway is left out before anything is sorted. Tokens lighter than an equal share of the
  // mass that top-p cuts weigh less than that mass together, so top-p takes them. Without top-p, min-p may as well come
  // first: the likeliest token weighs 1, so it keeps weights from min_p on.
  float threshold = 0;
  if (cuts_p && !cuts_k) threshold = static_cast<float>((1 - double{params.top_p}) * sum / vocab_size_ * 0.999);
  if (!cuts_p) threshold = params.min_p;
  candidates_.clear();
  for (int32_t token = 0; token < vocab_size_; ++token) {
    const float weight = weights_[static_cast<size_t>(token)];
    if (weight > 0 && weight >= threshold) candidates_.push_back({weight, token});
  }
  double kept = sum;
  if (cuts_k) {
    CutTopK(params.top_k);
    kept = 0;
    for (const Candidate& candidate : candidates_) kept += candidate.weight;
  }
  if (cuts_p) CutTopP(double{params.top_p} * kept);
  candidates_.erase(std::remove_if(candidates_.begin(), candidates_.end(),
                                   [&](const Candidate& candidate) { return candidate.weight < params.min_p; }),
                    candidates_.end());
  return PickCandidate(uniform);
}

double Sampler::ComputeWeights(const float* logits, float max, float temperature) {
  const float factor = std::min(1.0f / temperature, std::numeric_limits<float>::max());  // 0 * infinity is no number
  kernels_.exp_shifted(logits, max, factor, vocab_size_, weights_.data());
  double sum = 0;
  for (size_t block = 0; block < block_sums_.size(); ++block) {
    const size_t end = std::min((block + 1) * kBlock, weights_.size());
    double block_sum = 0;
    for (size_t i = block * kBlock; i < end; ++i) block_sum += weights_[i];
    block_sums_[block] = block_sum;
    sum += block_sum;
  }
  return sum;
}

int32_t Sampler::PickFromAll(double target) const {
  size_t block = 0;
  while (block + 1 < block_sums_.size() && target >= block_sums_[block]) target -= block_sums_[block++];
  const size_t end = std::min((block + 1) * kBlock, weights_.size());
  for (size_t i = block * kBlock; i < end; ++i) {
    if (target < weights_[i]) return static_cast<int32_t>(i);
    target -= weights_[i];
  }
  // Rounding left a little of the target over.
  return static_cast<int32_t>(std::max_element(weights_.begin(), weights_.end()) - weights_.begin());
}

void Sampler::CutTopK(int top_k) {
  const size_t kept = std::min(static_cast<size_t>(top_k), candidates_.size());
  SortLikeliest(0, kept);
  candidates_.resize(kept);
}

// Keeps a token if those likelier than it have less than `mass` together.
void Sampler::CutTopP(double mass) {
  double sum = 0;
  size_t kept = 0;
  for (size_t sorted = 0, next = kFirstSorted; sorted < candidates_.size() && sum < mass; next *= 4) {
    const size_t end = std::min(next, candidates_.size());
    SortLikeliest(sorted, end - sorted);
    sorted = end;
    for (; kept < sorted && sum < mass; ++kept) sum += candidates_[kept].weight;
  }
  candidates_.resize(std::max<size_t>(kept, 1));
}

void Sampler::SortLikeliest(size_t first, size_t count) {
  const auto begin = candidates_.begin() + static_cast<std::ptrdiff_t>(first);
  std::partial_sort(begin, begin + static_cast<std::ptrdiff_t>(count), candidates_.end(),
                    [](const Candidate& a, const Candidate& b) {
                      return a.weight != b.weight ? a.weight > b.weight : a.token < b.token;
                    });
}

int32_t Sampler::PickCandidate(double uniform) const {
  double sum = 0;
  for (const Candidate& candidate : candidates_) sum += candidate.weight;
  double target = uniform * sum;
  for (const Candidate& candidate : candidates_) {
    if (target < candidate.weight) return candidate.token;
    target -= candidate.weight;
  }
  return candidates_.back().token;
}

double Sampler::LogSumExp(const float* logits) {
  const float max = kernels_.max(logits, vocab_size_);
  return max + std::log(ComputeWeights(logits, max, 1));
}

float Sampler::Logprob(const float* logits, int32_t token) {
  return static_cast<float>(logits[token] - LogSumExp(logits));
}

std::vector<TokenLogprob> Sampler::TopLogprobs(const float* logits, int count) {
  return executor::TopLogprobs(logits, vocab_size_, static_cast<uint32_t>(count), LogSumExp(logits), &sorted_);
}

const float* Sampler::Logprobs(const float* logits) {
  const double log_sum = LogSumExp(logits);
  if (!std::isfinite(log_sum)) return nullptr;
  std::transform(logits, logits + vocab_size_, weights_.begin(),
                 [log_sum](float logit) { return static_cast<float>(logit - log_sum); });
  return weights_.data();
}

std::vector<BeamCandidate> Sampler::BeamCandidates(const float* scores, const float* logprobs, int count) {
  std::vector<BeamCandidate> candidates;
  for (const TokenLogprob& top : executor::TopLogprobs(scores, vocab_size_, static_cast<uint32_t>(count), 0, &sorted_))
    if (std::isfinite(top.logprob)) candidates.push_back({top.token, top.logprob, logprobs[top.token]});
  return candidates;
}

}  // namespace embedded::cpu
