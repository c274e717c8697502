// The embeddings that a step in flight adds to.
#ifndef EMBEDDED_CUDA_STEP_POOLING_H_
#define EMBEDDED_CUDA_STEP_POOLING_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "native/embedded/cuda/rank.h"
#include "native/embedded/cuda/resources.h"
#include "native/embedded/cuda/step_buffers.h"
#include "native/embedded/cuda/step_plan.h"
#include "native/embedded/cuda/sum_rows.h"
#include "native/embedded/scheduler.h"

namespace embedded::cuda {

class StepPooling {
 public:
  static size_t DeviceBytes(int max_sequences, int hidden_size);

  StepPooling(int max_sequences, int hidden_size);

  // Launches the sums of the step that `rank` computed last, if any of its entries are pooled, and copies them to the host. An entry
  // without memory for its embedding fails in `buffers`.
  void Submit(const Step& step, const StepPlan& plan, Rank* rank, StepBuffers* buffers);
  // When they have come: adds them to the embeddings of the requests, which may have ended meanwhile.
  void Collect();

 private:
  struct OnItsWay {
    std::shared_ptr<executor::BatchRowDetails> output;
    bool is_first;
  };

  int hidden_size_;
  DeviceBuffer device_spans_;
  DeviceBuffer device_sums_;  // [max_sequences, hidden_size]
  PinnedBuffer spans_;
  PinnedBuffer sums_;
  std::vector<OnItsWay> on_their_way_;
};

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_STEP_POOLING_H_
