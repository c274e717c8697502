// CUDA graphs of the steps that have decode rows alone, one for each size they are padded to.
#ifndef EMBEDDED_CUDA_DECODE_GRAPHS_H_
#define EMBEDDED_CUDA_DECODE_GRAPHS_H_

#include <cuda_runtime_api.h>

#include <functional>
#include <map>
#include <utility>

#include "native/embedded/cuda/resources.h"

namespace embedded::cuda {

// A size's first step is launched kernel by kernel, which chooses its matrix products and loads its kernels; the second
// is recorded, and replayed from then on. Everything recorded must lie where it is.
class DecodeGraphs {
 public:
  // NODE_TENSORRT_LLM_CUDA_GRAPHS=0 launches kernel by kernel always: to find out what a profiler shows.
  DecodeGraphs();

  // `variant` tells graphs of one size apart that were recorded of different launches. `on_recorded`, if any, is called when one is
  // ready, before its first launch.
  void Run(int rows, int variant, cudaStream_t stream, const std::function<void(cudaStream_t)>& launch,
           const std::function<void()>& on_recorded = {});

 private:
  bool enabled_;
  std::map<std::pair<int, int>, GraphExec> graphs_;  // by rows and variant; empty until it is recorded
};

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_DECODE_GRAPHS_H_
