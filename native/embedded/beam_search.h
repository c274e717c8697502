// Beam search over the beams of one request: which tokens they go on with, and which outputs are found. Pure logic: no
// threads, no model. It chooses as generate() of Hugging Face transformers does.
#ifndef EMBEDDED_BEAM_SEARCH_H_
#define EMBEDDED_BEAM_SEARCH_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "native/executor/response.h"

namespace embedded {

// A token that may follow a beam.
struct BeamCandidate {
  int32_t token;
  float score;    // its log-probability after the logits processors, finite
  float logprob;  // before them
};

// When a search ends that has found as many outputs as it has beams.
enum class EarlyStopping { kAtOnce, kWhenBetterIsUnlikely, kWhenBetterIsImpossible };

struct BeamSearchParams {
  size_t width;       // beams
  size_t candidates;  // the likeliest of all beams, that a step looks at: each beam must say so many
  size_t max_tokens;  // of an output, its end token included
  float length_penalty = 0;
  EarlyStopping early_stopping = EarlyStopping::kAtOnce;
};

// A beam is a number below `width`, and keeps it as long as one of its candidates goes on.
class BeamSearch {
 public:
  // How a beam is after a step: what it follows, and with which token.
  struct Choice {
    size_t from;
    BeamCandidate candidate;
  };
  struct FoundOutput {
    size_t steps;  // before its last token
    Choice last;   // its last token, which may be an end id
    double score;  // the sum of its tokens' scores by their number to the power of the length penalty
    ExecutorFinish finish;
  };
  // How the token ends an output of the beam; FINISH_NONE: it does not.
  using FinishOf = std::function<ExecutorFinish(size_t beam, int32_t token)>;

  explicit BeamSearch(const BeamSearchParams& params) : params_(params) { Start(); }

  // From the prompt on, where all beams are the first one.
  void Start();
  // One step: the candidates of each beam, the likeliest first.
  void Advance(const std::vector<std::vector<BeamCandidate>>& candidates, const FinishOf& finish_of);

  bool done() const { return done_; }
  size_t steps() const { return history_.size() / params_.width; }  // that did not end it
  // What the last step made of each beam, unless it ended the search.
  const Choice* choices() const { return history_.data() + history_.size() - params_.width; }
  // The best first, at most as many as there are beams.
  const std::vector<FoundOutput>& found() const { return found_; }
  // All choices that led to an output, its last included. Choice i was made in step i from its beam's candidates there.
  std::vector<Choice> PathTo(const FoundOutput& output) const;

 private:
  struct Continuation {
    double score;
    Choice choice;
  };
  std::vector<Continuation> Likeliest(const std::vector<std::vector<BeamCandidate>>& candidates) const;
  void Add(const FoundOutput& output);
  void Continue(const std::vector<Continuation>& chosen);
  bool MayImprove(double best_score) const;
  double Penalized(double score, size_t tokens) const;

  BeamSearchParams params_;
  std::vector<double> scores_;   // by beam; -infinity: it is a copy of another and not looked at
  std::vector<Choice> history_;  // [steps, width]
  std::vector<FoundOutput> found_;
  bool done_ = false;
};

}  // namespace embedded

#endif  // EMBEDDED_BEAM_SEARCH_H_
