// What computes: a model that knows sequences and steps. The leader turns its steps into responses.
#ifndef STAND_IN_ENGINE_H_
#define STAND_IN_ENGINE_H_

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine_directory.h"
#include "script.h"
#include "tensorrt_llm/executor/executor.h"

namespace stand_in {

namespace tle = tensorrt_llm::executor;
using tle::IdType;

struct SequenceStart {
  IdType id;  // of the sequence, not used before
  const tle::Request* request;
  SizeType32 max_new_tokens;
  tle::RandomSeedType seed;
};

// What one step gave one sequence.
struct SequenceStep {
  IdType id;
  std::vector<tle::VecTokens> tokens;      // new ones, by beam
  std::vector<tle::VecLogProbs> logprobs;  // of them
  std::vector<float> generation_logits;    // [new tokens, vocab_size], of the first beam
  std::vector<float> context_logits;       // [prompt tokens, vocab_size], once
  tle::FinishReason finish = tle::FinishReason::kNOT_FINISHED;
  bool is_final = false;
  bool is_shown_empty = false;  // gives a response though it has no token
  std::string error;            // of this sequence alone; then it is final
};

class Engine {
 public:
  virtual ~Engine() = default;
  // Throws what NVIDIA's library would say of a request it cannot run.
  virtual void Start(const SequenceStart& sequence) = 0;
  virtual void Cancel(IdType id) = 0;
  // Blocks until a step ends, or some milliseconds.
  virtual std::vector<SequenceStep> Step() = 0;
  // Where the engine counts its blocks.
  virtual std::optional<tle::KvCacheStats> KvCache() = 0;
#if STAND_IN_1_2
  // On any thread.
  virtual std::deque<tle::KVCacheEvent> TakeKvEvents() { return {}; }
#endif
};

// Token j of a sequence is the letter 'a' + (last prompt token + beam + j) % 26, so a reader knows its text beforehand.
std::unique_ptr<Engine> MakeLettersEngine(const EngineDirectory& directory, const Script& script);

// The embedded executor over the checkpoint, rank0.safetensors, that lies beside rank0.engine.
std::unique_ptr<Engine> MakeEmbeddedEngine(const EngineDirectory& directory, const tle::ExecutorConfig& config,
                                           SizeType32 max_batch_size);

}  // namespace stand_in

#endif  // STAND_IN_ENGINE_H_
