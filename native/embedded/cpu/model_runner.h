// The model runner of the CPU: a step is computed while it is submitted.
#ifndef EMBEDDED_CPU_MODEL_RUNNER_H_
#define EMBEDDED_CPU_MODEL_RUNNER_H_

#include <atomic>
#include <map>
#include <memory>
#include <vector>

#include "native/embedded/cpu/kernels.h"
#include "native/embedded/cpu/logits_processors.h"
#include "native/embedded/cpu/paged_memory.h"
#include "native/embedded/cpu/ranks.h"
#include "native/embedded/cpu/sampler.h"
#include "native/embedded/model_runner.h"

namespace embedded::cpu {

class CpuModelRunner : public ModelRunner {
 public:
  explicit CpuModelRunner(const RunnerOptions& options);

  const RunnerInfo& info() const override { return info_; }
  bool DrawsAhead(const SamplingParams&) const override { return true; }  // never asked to
  void Submit(const Step& step, const std::atomic<bool>& abandon) override;
  StepResults Collect() override;

 private:
  struct Draw {
    const StepEntry* entry;
    size_t drafts;   // of the entry's, that come before the token
    uint32_t index;  // whose token is drawn: the sequence's or that of a fork to come
    const float* logits;
    DrawResult* result;
  };
  void Sample(const std::vector<Draw>& draws);
  DrawResult SampleOne(const Draw& draw, LogitsProcessors* processors, Sampler* sampler) const;
  // What was asked about them beside the token.
  void AddLogits(const Request& request, const float* logits, Sampler* sampler, Output* output) const;
  void GatherPromptOutput(const StepEntry& entry, int first_row);
  void Pool(const StepEntry& entry, int first_row);
  // Null where the request has none.
  const std::vector<RankAdapter>* Prepared(const std::shared_ptr<const Adapter>& adapter);

  ModelConfig model_;
  int max_logits_rows_;
  const Kernels& kernels_;
  Ranks ranks_;
  RunnerInfo info_;  // made after the weights: the KV cache is a part of the memory that they leave
  struct PreparedAdapter {
    std::weak_ptr<const Adapter> adapter;
    std::vector<RankAdapter> ranks;
  };
  std::map<uint64_t, PreparedAdapter> adapters_;  // by serial number
  std::vector<LogitsProcessors> processors_;      // by thread
  std::vector<Sampler> samplers_;                 // by thread
  PagedMemory logits_;                            // [max_logits_rows, logits_stride]
  StepResults results_;                           // of the step that was submitted
};

// The CPU as a device of the embedded executor.
const Device& CpuDevice();

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_MODEL_RUNNER_H_
