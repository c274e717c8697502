// What the tests of the CUDA kernels share. Without a GPU each test is skipped by name.
#ifndef TEST_NATIVE_EMBEDDED_CUDA_GPU_TEST_H_
#define TEST_NATIVE_EMBEDDED_CUDA_GPU_TEST_H_

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "native/embedded/cuda/element.h"
#include "native/embedded/cuda/launch.h"

namespace embedded::cuda {

inline bool HasGpu() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
}

class GpuTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!HasGpu()) GTEST_SKIP() << "no NVIDIA GPU";
  }
  void TearDown() override {
    if (!HasGpu()) return;
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess) << cudaGetErrorString(cudaPeekAtLastError());
  }
};
template <typename Parameter>
class GpuTestWith : public GpuTest, public testing::WithParamInterface<Parameter> {};

// Device memory that starts as 0xFF bytes: NaN in every float type, so what was not written shows. For compute-sanitizer's initcheck,
// which looks for the same in its own way, it starts unwritten: scripts/gpu-check.mjs sets the variable.
template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t count) : count_(count) {
    CheckKernel(cudaMalloc(&data_, sizeof(T) * std::max<size_t>(count, 1)), "cudaMalloc");
    const char* unwritten = std::getenv("CUDA_TESTS_UNWRITTEN_MEMORY");
    if (unwritten == nullptr || *unwritten == '\0') Poison();
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    CheckKernel(cudaMemcpy(data_, values.data(), sizeof(T) * count_, cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() { cudaFree(data_); }

  T* get() const { return data_; }
  size_t size() const { return count_; }
  void Poison() { CheckKernel(cudaMemset(data_, 0xFF, sizeof(T) * count_), "cudaMemset"); }
  void Zero() { CheckKernel(cudaMemset(data_, 0, sizeof(T) * count_), "cudaMemset"); }
  std::vector<T> Read() const {
    std::vector<T> values(count_);
    CheckKernel(cudaMemcpy(values.data(), data_, sizeof(T) * count_, cudaMemcpyDeviceToHost), "cudaMemcpy");
    return values;
  }

 private:
  T* data_ = nullptr;
  size_t count_;
};

inline uint16_t ToBits(Element element, float x) {
  uint16_t bits;
  if (element == Element::kBfloat16) {
    const __nv_bfloat16 value = __float2bfloat16(x);
    std::memcpy(&bits, &value, sizeof(bits));
  } else {
    const __half value = __float2half(x);
    std::memcpy(&bits, &value, sizeof(bits));
  }
  return bits;
}
inline float FromBits(Element element, uint16_t bits) {
  if (element == Element::kBfloat16) return __bfloat162float(__nv_bfloat16(__nv_bfloat16_raw{bits}));
  return __half2float(__half(__half_raw{bits}));
}
inline std::vector<float> FromBits(Element element, const std::vector<uint16_t>& bits) {
  std::vector<float> values;
  for (const uint16_t b : bits) values.push_back(FromBits(element, b));
  return values;
}

// Values an element holds exactly, so that a reference starts from the same numbers.
inline std::vector<uint16_t> RandomElements(Element element, size_t count, uint32_t seed, float spread = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<uint16_t> bits(count);
  for (uint16_t& b : bits) b = ToBits(element, normal(random));
  return bits;
}
inline std::vector<float> RandomFloats(size_t count, uint32_t seed, float spread = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

// The norm of the difference over the norm of what is expected; NaN never passes a comparison with it.
inline double RelativeError(const std::vector<float>& got, const std::vector<double>& expected) {
  double difference = 0, norm = 0;
  if (got.size() != expected.size()) return std::nan("");
  for (size_t i = 0; i < got.size(); ++i) {
    difference += (got[i] - expected[i]) * (got[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  return std::sqrt(difference / std::max(norm, 1e-300));
}
// Half a unit in the last place, roughly, of what is rounded once.
inline double Rounding(Element element) { return element == Element::kBfloat16 ? 3e-3 : 4e-4; }
inline const char* NameOf(Element element) { return element == Element::kBfloat16 ? "bf16" : "fp16"; }

}  // namespace embedded::cuda

#endif  // TEST_NATIVE_EMBEDDED_CUDA_GPU_TEST_H_
