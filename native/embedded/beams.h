// The beam search of one request: what it asks for, and its sequences as the beams of a BeamSearch.
#ifndef EMBEDDED_BEAMS_H_
#define EMBEDDED_BEAMS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "native/embedded/beam_search.h"
#include "native/embedded/limits.h"
#include "native/embedded/model_runner.h"
#include "native/embedded/request.h"
#include "native/embedded/scheduler.h"
#include "native/executor/executor.h"

namespace embedded {

struct BeamOutput {
  Output output;
  ExecutorFinish finish;
  std::optional<int32_t> stop_token;
};

class Beams {
 public:
  explicit Beams(const BeamSearchParams& params);

  // Takes what a step drew for one of the request's sequences, or for all of them from the prompt. True once all of the
  // step is there: then Advance.
  bool Add(const RequestSequence& sequence, std::vector<DrawResult> results);
  // Gives each sequence the tokens of its beam, unless the search is done.
  void Advance(Request* request, Scheduler* scheduler);
  bool done() const { return search_.done(); }
  // What the search found, the best first: `count` outputs, or fewer where there are not so many.
  std::vector<BeamOutput> Outputs(const Request& request, size_t count) const;

 private:
  BeamSearch search_;
  std::vector<std::vector<BeamCandidate>> candidates_;  // of the step, by beam
  std::vector<Output> rows_;  // [steps, beams] what was asked about the logits that the candidates come from; or none
};

// The width that is asked for; 1: no beam search.
uint32_t BeamWidthOf(const ExecutorSampling& sampling);

// Makes the request, whose beam width is not 1, a beam search, and lowers its max_tokens to what the KV cache holds of all
// beams. Throws executor::Failure: EXECUTOR_INVALID_OPTION for values out of range and what beams cannot have.
void MakeBeams(const ExecutorRequest& given, const ExecutorSampling& sampling, const Limits& limits, int vocab_size,
               Request* request);

}  // namespace embedded

#endif  // EMBEDDED_BEAMS_H_
