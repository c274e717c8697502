// Owners of what CUDA hands out. Each belongs to the device that was the thread's when it was made, frees it in its destructor, and
// moves but does not copy. Destructors ignore errors: by then a lost GPU has been reported by the call that met it first.
#ifndef EMBEDDED_CUDA_RESOURCES_H_
#define EMBEDDED_CUDA_RESOURCES_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <utility>

#include "native/embedded/cuda/check.h"

namespace embedded::cuda {

// A handle with the function that frees it.
template <typename Handle, auto kFree>
class Owned {
 public:
  Owned() = default;
  explicit Owned(Handle handle) : handle_(handle) {}
  Owned(Owned&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Owned() {
    if (handle_ != nullptr) static_cast<void>(kFree(handle_));
  }
  Handle get() const { return handle_; }
  explicit operator bool() const { return handle_ != nullptr; }

 private:
  Handle handle_ = nullptr;
};

using Stream = Owned<cudaStream_t, cudaStreamDestroy>;
using Event = Owned<cudaEvent_t, cudaEventDestroy>;
using Graph = Owned<cudaGraph_t, cudaGraphDestroy>;
using GraphExec = Owned<cudaGraphExec_t, cudaGraphExecDestroy>;

// A stream that does not wait for the legacy default stream.
Stream MakeStream();
// An event that only orders work, and one that can be asked for times as well.
Event MakeEvent();
Event MakeTimingEvent();

// Records what `launch(stream)` puts on `stream`, which other threads may not notice, and makes it ready to be launched.
template <typename Launch>
GraphExec CaptureGraph(cudaStream_t stream, Launch launch);

enum class MemoryPlace { kDevice, kPinned };

// Memory of the GPU or, pinned, of the host; not initialized. `what` names it in the failure.
template <MemoryPlace kPlace>
class Buffer {
 public:
  Buffer() = default;
  Buffer(size_t bytes, const char* what);
  void* data() const { return memory_.get(); }
  size_t bytes() const { return bytes_; }
  template <typename T>
  T* as() const {
    return static_cast<T*>(memory_.get());
  }

 private:
  static cudaError_t Free(void* memory) {
    return kPlace == MemoryPlace::kDevice ? cudaFree(memory) : cudaFreeHost(memory);
  }
  Owned<void*, Free> memory_;
  size_t bytes_ = 0;
};
using DeviceBuffer = Buffer<MemoryPlace::kDevice>;
using PinnedBuffer = Buffer<MemoryPlace::kPinned>;

template <typename Launch>
GraphExec CaptureGraph(cudaStream_t stream, Launch launch) {
  Check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "starting to record a CUDA graph");
  cudaGraph_t recorded = nullptr;
  try {
    launch(stream);
  } catch (...) {
    cudaStreamEndCapture(stream, &recorded);  // the stream must be usable again
    const Graph owner(recorded);
    throw;
  }
  Check(cudaStreamEndCapture(stream, &recorded), "recording a CUDA graph");
  const Graph graph(recorded);
  cudaGraphExec_t executable = nullptr;
  Check(cudaGraphInstantiate(&executable, graph.get(), 0), "preparing a CUDA graph");
  return GraphExec(executable);
}

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_RESOURCES_H_
