// How long recorded work takes on the GPU, for choices made at load.
#ifndef EMBEDDED_CUDA_TIMING_H_
#define EMBEDDED_CUDA_TIMING_H_

#include "native/embedded/cuda/resources.h"

namespace embedded::cuda {

// The median of a few replays after one that warms up, in milliseconds. Waits for the GPU. Where the first alone shows
// that `fastest` is out of reach, it is not replayed again.
float MedianReplayMs(const GraphExec& graph, float fastest, cudaStream_t stream);

// How often to launch a kernel that reads `bytes`: often enough that one launch starting late does not show.
inline int LaunchesToTime(size_t bytes) {
  constexpr size_t kBytesToRead = size_t{1} << 30;
  const size_t launches = bytes == 0 ? 20 : kBytesToRead / bytes;
  return static_cast<int>(launches < 4 ? 4 : launches > 20 ? 20 : launches);
}

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_TIMING_H_
