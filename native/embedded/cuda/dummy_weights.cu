#include <algorithm>

#include "native/embedded/cuda/device.cuh"
#include "native/embedded/cuda/dummy_weights.h"
#include "native/embedded/cuda/philox.cuh"

namespace embedded::cuda {
namespace {

constexpr int kThreads = 256;
constexpr size_t kMaxBlocks = 4096;

template <typename T>
__global__ void __launch_bounds__(kThreads) FillDummyWeightsKernel(DummyTensor tensor, size_t count, T* out) {
  WaitForPredecessor();
  const uint2 key = make_uint2(static_cast<uint32_t>(kDummySeed), static_cast<uint32_t>(kDummySeed >> 32));
  const size_t stride = static_cast<size_t>(gridDim.x) * kThreads;
  for (size_t i = static_cast<size_t>(blockIdx.x) * kThreads + threadIdx.x; i * 4 < count; i += stride) {
    const uint4 bits =
        Philox(make_uint4(static_cast<uint32_t>(i), static_cast<uint32_t>(i >> 32), tensor.tensor, 1), key);
    const uint32_t words[4] = {bits.x, bits.y, bits.z, bits.w};
    T values[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float uniform = __fsub_rn(static_cast<float>(words[j] >> 8) * 0x1p-23f, 1.0f);
      values[j] = FromFloat<T>(__fmaf_rn(tensor.amplitude, uniform, tensor.center));
    }
    if (i * 4 + 4 <= count) {
      reinterpret_cast<uint2*>(out)[i] = *reinterpret_cast<const uint2*>(values);
    } else {
      for (size_t j = 0; i * 4 + j < count; ++j) out[i * 4 + j] = values[j];
    }
  }
}

__global__ void __launch_bounds__(kThreads)
    FillDummyCodesKernel(uint32_t number, size_t count, uint32_t mask, unsigned char* out) {
  WaitForPredecessor();
  const uint2 key = make_uint2(static_cast<uint32_t>(kDummySeed), static_cast<uint32_t>(kDummySeed >> 32));
  const size_t stride = static_cast<size_t>(gridDim.x) * kThreads;
  for (size_t i = static_cast<size_t>(blockIdx.x) * kThreads + threadIdx.x; i * 16 < count; i += stride) {
    uint4 bits = Philox(make_uint4(static_cast<uint32_t>(i), static_cast<uint32_t>(i >> 32), number, 1), key);
    bits = {bits.x & mask, bits.y & mask, bits.z & mask, bits.w & mask};
    if (i * 16 + 16 <= count) {
      reinterpret_cast<uint4*>(out)[i] = bits;
    } else {
      for (size_t j = 0; i * 16 + j < count; ++j) out[i * 16 + j] = reinterpret_cast<const unsigned char*>(&bits)[j];
    }
  }
}

}  // namespace

void FillDummyCodes(uint32_t number, size_t count, uint8_t mask, void* out, cudaStream_t stream) {
  const size_t blocks = std::min(kMaxBlocks, (count + 16 * kThreads - 1) / (16 * kThreads));
  Launch("FillDummyCodes", FillDummyCodesKernel, {dim3(static_cast<unsigned>(blocks)), dim3(kThreads)}, stream, number,
         count, mask * 0x01010101u, static_cast<unsigned char*>(out));
}

void FillDummyWeights(const DummyTensor& tensor, Element type, size_t count, void* out, cudaStream_t stream) {
  WithElement(type, [&](auto element) {
    using T = decltype(element);
    const size_t blocks = std::min(kMaxBlocks, (count + 4 * kThreads - 1) / (4 * kThreads));
    Launch("FillDummyWeights", FillDummyWeightsKernel<T>, {dim3(static_cast<unsigned>(blocks)), dim3(kThreads)}, stream,
           tensor, count, static_cast<T*>(out));
  });
}

}  // namespace embedded::cuda
