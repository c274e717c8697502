// The seam between the two halves of the embedded executor: above it requests, steps and KV blocks are planned, below it
// a device computes them. The upper half knows no device, and a device no queue.
#ifndef EMBEDDED_MODEL_RUNNER_H_
#define EMBEDDED_MODEL_RUNNER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "native/embedded/beam_search.h"
#include "native/embedded/checkpoint/config.h"
#include "native/embedded/limits.h"
#include "native/embedded/request.h"
#include "native/embedded/sampling.h"
#include "native/embedded/scheduler.h"
#include "native/executor/cpp/failure.h"
#include "native/executor/executor.h"

namespace embedded {

// What one draw of a step gives a sequence.
struct DrawResult {
  Output output;                             // one token
  std::optional<executor::Failure> failure;  // of this request alone; then there is no token
  // Instead of a token, where the request is a beam search: Request::beam_candidates, likeliest first, but for those that
  // its logits processors forbid. Its sequences that go on from one logit row have them once: the first.
  std::vector<BeamCandidate> candidates = {};
};
// By entry of the step; of each, by its draws, those after its drafts last. An entry without draws has none, or one that
// says why it failed.
using StepResults = std::vector<std::vector<DrawResult>>;

// The sizes that depend on the device.
struct RunnerInfo {
  std::string device;  // for people: "2 threads, avx512 kernels"
  int tokens_per_block;
  int kv_blocks;
  uint64_t weight_bytes;
  uint64_t kv_cache_bytes;
  uint64_t device_memory_bytes;  // taken of the device's own memory; 0 where that is the host's
  int max_steps_in_flight;       // submitted and not collected; 1: the runner is never ahead
  uint64_t adapter_values;       // that it has room for, of all cached adapters
  int host_blocks = 0;           // in pinned host memory
  uint64_t pinned_memory_bytes = 0;
};

// Computes steps in the order they are submitted, for one thread.
//
// Tokens that a step draws may still be on the device when the next one is submitted: where an entry's positions reach
// past its sequence's known tokens, the last is the newest token drawn for the sequence's slot. A slot, and a block, may
// belong to another sequence in a later step.
class ModelRunner {
 public:
  virtual ~ModelRunner() = default;

  virtual const RunnerInfo& info() const = 0;

  // Whether a token can be drawn this way while the one before it is only on the device. If not, a step with the sequence
  // is submitted only when all its tokens are known. Any thread may call it.
  virtual bool DrawsAhead(const SamplingParams& sampling) const = 0;

  // Takes a step whose entries are RequestSequences, at most max_steps_in_flight before one is collected. What the step
  // and its requests hold is read during the call only, but for Request::prompt_output, which the runner shares until
  // the step is collected. A runner that computes within the call stops when `abandon` becomes true. Throws when no
  // step can run any more.
  virtual void Submit(const Step& step, const std::atomic<bool>& abandon) = 0;

  // The two halves of Submit, for a step behind another whose Guides do not know their masks yet: all but the draws, and
  // then those, before the next step is submitted and this one collected. Until then its requests live. A draw of a
  // sequence whose Guide was not asked for a mask gives any token. Only runners that are ahead are told to.
  virtual void SubmitWithoutDraws(const Step& /*step*/) { throw std::logic_error("this runner is never ahead"); }
  virtual void Draw() { throw std::logic_error("this runner is never ahead"); }

  // Waits for the oldest step that is not collected. No results where it was abandoned. Throws like Submit.
  virtual StepResults Collect() = 0;
};

// What a runner is made from.
struct RunnerOptions {
  const ExecutorConfig& config;            // for what the device alone knows
  std::vector<std::string> weights_files;  // by rank; none: dummy weights (dummy_weights.h)
  ModelConfig model;
  Limits limits;
  std::function<bool(double)> on_progress;  // 0 to 1; false aborts the load with EXECUTOR_LOAD_ABORTED
  // Of a runner that is made after this one on the same device, with keys and values of as many tokens; null: there is none.
  const RunnerOptions* beside = nullptr;

  std::optional<std::string> weights_file(size_t rank) const {
    return weights_files.empty() ? std::nullopt : std::optional(weights_files[rank]);
  }
};

// A kind of device that the embedded executor runs on.
struct Device {
  const char* name;       // of the executor: "cpu"
  uint64_t capabilities;  // CAN_*
  DeviceDefaults defaults;
  // Loads the engine's weights and takes the memory for all that the limits allow. Throws executor::Failure.
  std::function<std::unique_ptr<ModelRunner>(const RunnerOptions& options)> make_runner;
  std::vector<QuantAlgo> quant_algos = {};  // of the weights that it runs
  bool warms_up = false;                    // what its first steps load, it loads with the engine
};

}  // namespace embedded

#endif  // EMBEDDED_MODEL_RUNNER_H_
