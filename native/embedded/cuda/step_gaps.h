// How long the GPU waits between two decode steps, by timed events: for bench/gpu-gaps.mjs. Nothing else makes one.
//   gap   from the end of a step's last kernel to the start of the next one's graph: copies of what was drawn and of the
//         next step's input, and the graph's launch, lie in it
//   work  from there to the end of that step's last kernel
#ifndef EMBEDDED_CUDA_STEP_GAPS_H_
#define EMBEDDED_CUDA_STEP_GAPS_H_

#include <cuda_runtime_api.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "native/embedded/cuda/resources.h"

namespace embedded::cuda {

// For a runner with at most two steps in flight, whose decode graphs are recorded apart for even and odd steps: the
// event at a graph's start is part of it.
class StepGaps {
 public:
  // Null unless NODE_TENSORRT_LLM_CUDA_STEP_GAPS names a file.
  static std::unique_ptr<StepGaps> FromEnvironment();

  explicit StepGaps(std::string path);
  // Writes the file: a line for each decode step behind one of the same size: rows, gap and work in microseconds.
  ~StepGaps();
  StepGaps(const StepGaps&) = delete;
  StepGaps& operator=(const StepGaps&) = delete;

  // For each step in this order; `decode_rows` is 0 where it has others too, whose start is not recorded.
  void Submit(int decode_rows);
  void RecordStart(cudaStream_t stream);
  void RecordEnd(cudaStream_t stream);
  // The oldest step has ended.
  void Collect();

  // Which of two graphs the step that is being submitted has.
  int graph() const { return static_cast<int>(submitted_ % 2); }

 private:
  struct Step {
    int decode_rows = 0;
    bool has_end = false;
    Event end;
  };
  struct Gap {
    int rows;
    float gap_ms, work_ms;
  };
  Step& StepAt(uint64_t number) { return steps_[number % steps_.size()]; }

  std::string path_;
  std::array<Event, 2> starts_;
  std::array<Step, 4> steps_;  // two in flight, the one before them, and the next
  uint64_t submitted_ = 0;     // steps; the newest has this number
  uint64_t collected_ = 0;
  std::vector<Gap> gaps_;
};

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_STEP_GAPS_H_
