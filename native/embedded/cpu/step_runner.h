// One step of the model over a batch, from tokens to sampled tokens. No queues, no locks.
#ifndef EMBEDDED_STEP_RUNNER_H_
#define EMBEDDED_STEP_RUNNER_H_

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "native/embedded/checkpoint/config.h"
#include "native/embedded/cpu/kernels.h"
#include "native/embedded/cpu/llama.h"
#include "native/embedded/cpu/logits_processors.h"
#include "native/embedded/cpu/sampler.h"
#include "native/embedded/cpu/thread_pool.h"
#include "native/embedded/cpu/weights.h"
#include "native/embedded/kv_cache.h"
#include "native/embedded/request.h"
#include "native/embedded/scheduler.h"
#include "native/executor/cpp/failure.h"

namespace embedded {

// What a step gives a sequence.
struct StepResult {
  Output output;                             // one token
  std::optional<executor::Failure> failure;  // of this request alone; then there is no token
};

class StepRunner {
 public:
  // Loads the engine's weights. Throws executor::Failure.
  StepRunner(const std::string& engine_dir, const ModelConfig& model, const Limits& limits, int kv_blocks,
             const cpu::Kernels& kernels, const std::function<bool(double)>& on_progress);

  // Computes the step; its sequences are RequestSequences. Results are by entry, or none at all if `abandon` became
  // true. An entry that completes has one for its sequence and one for each fork to come; another has none, or one that
  // says why it failed. Fills what requests want about their prompt.
  std::vector<std::vector<StepResult>> Run(const Step& step, const std::atomic<bool>& abandon);

  uint64_t weight_bytes() const { return weights_.bytes; }

 private:
  struct Draw {
    const RequestSequence* sequence;
    uint32_t index;  // whose token is drawn: the sequence's or that of a fork to come
    const float* logits;
    StepResult* result;
  };
  void Sample(const std::vector<Draw>& draws);
  StepResult SampleOne(const RequestSequence& sequence, uint32_t index, const float* logits,
                       LogitsProcessors* processors, Sampler* sampler) const;
  void GatherPromptOutput(const StepEntry& entry, int first_row);

  ModelConfig model_;
  int max_logits_rows_;
  cpu::ThreadPool pool_;
  LlamaWeights weights_;
  KvMemory kv_memory_;
  Llama llama_;
  std::vector<LogitsProcessors> processors_;  // by thread
  std::vector<Sampler> samplers_;             // by thread
  PagedMemory logits_;                        // [max_logits_rows, logits_stride]
};

}  // namespace embedded

#endif  // EMBEDDED_STEP_RUNNER_H_
