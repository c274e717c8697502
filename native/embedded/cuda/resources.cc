#include "native/embedded/cuda/resources.h"

#include <algorithm>
#include <string>

#include "native/embedded/cuda/device.h"

namespace embedded::cuda {
namespace {

std::string Mebibytes(size_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

}  // namespace

Stream MakeStream() {
  cudaStream_t stream = nullptr;
  Check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
  return Stream(stream);
}

Event MakeEvent() {
  cudaEvent_t event = nullptr;
  Check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
  return Event(event);
}

Event MakeTimingEvent() {
  cudaEvent_t event = nullptr;
  Check(cudaEventCreate(&event), "making an event");
  return Event(event);
}

template <MemoryPlace kPlace>
Buffer<kPlace>::Buffer(size_t bytes, const char* what) : bytes_(bytes) {
  void* memory = nullptr;
  const size_t asked = std::max<size_t>(bytes, 1);
  const cudaError_t error = kPlace == MemoryPlace::kDevice ? cudaMalloc(&memory, asked)
                                                           : cudaHostAlloc(&memory, asked, cudaHostAllocPortable);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // not sticky: the next call must not report it again
    if (kPlace == MemoryPlace::kDevice)
      throw executor::Failure(EXECUTOR_OUT_OF_MEMORY,
                              "The GPU has " + Mebibytes(DeviceMemory().free_bytes) + " free for " + what +
                                  "; expected " + Mebibytes(bytes) +
                                  ". Use a smaller model, KV cache or batch, or stop what else uses the GPU.");
    throw executor::Failure(EXECUTOR_OUT_OF_MEMORY, std::string("No pinned host memory is left for ") + what +
                                                        "; expected " + Mebibytes(bytes) +
                                                        ". Raise the locked memory limit (ulimit -l) or free memory.");
  }
  Check(error, what);
  memory_ = Owned<void*, Free>(memory);
}

template class Buffer<MemoryPlace::kDevice>;
template class Buffer<MemoryPlace::kPinned>;

}  // namespace embedded::cuda
