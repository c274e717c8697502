#include "native/embedded/cuda/decode_graphs.h"

#include <cstdlib>
#include <string>

namespace embedded::cuda {

DecodeGraphs::DecodeGraphs() {
  const char* const variable = std::getenv("NODE_TENSORRT_LLM_CUDA_GRAPHS");
  enabled_ = variable == nullptr || std::string(variable) != "0";
}

void DecodeGraphs::Run(int rows, int variant, cudaStream_t stream, const std::function<void(cudaStream_t)>& launch,
                       const std::function<void()>& on_recorded) {
  const auto [graph, is_first] = graphs_.try_emplace({rows, variant});
  if (!enabled_ || is_first) return launch(stream);
  if (!graph->second) {
    graph->second = CaptureGraph(stream, launch);
    if (on_recorded) {
      Check(cudaGraphUpload(graph->second.get(), stream), "preparing a CUDA graph");
      on_recorded();
    }
  }
  Check(cudaGraphLaunch(graph->second.get(), stream), "launching a decode step");
}

}  // namespace embedded::cuda
