#include <gtest/gtest.h>

#include "gpu_test.h"
#include "native/embedded/cuda/launch.h"

namespace embedded::cuda {
namespace {

__global__ void Nothing() {}

class SharedMemory : public GpuTest {};

TEST_F(SharedMemory, OnceAllowedIsNotTakenBackByALaunchThatNeedsLess) {
  constexpr size_t kMuch = 80 * 1024, kLess = 56 * 1024;
  if (CurrentDeviceTraits().shared_memory_per_block < static_cast<int>(kMuch)) GTEST_SKIP() << "a GPU with less";
  AllowSharedMemory(Nothing, kMuch);
  AllowSharedMemory(Nothing, kLess);
  Launch("nothing", Nothing, {dim3(1), dim3(32), kMuch}, nullptr);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

}  // namespace
}  // namespace embedded::cuda
