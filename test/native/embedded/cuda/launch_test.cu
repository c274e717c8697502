#include <gtest/gtest.h>

#include "gpu_test.h"
#include "native/embedded/cuda/launch.h"

namespace embedded::cuda {
namespace {

__global__ void Nothing() {}

__global__ void DeclaresSome() {
  __shared__ volatile int declared;
  if (threadIdx.x == 0) declared = 1;
}

class SharedMemory : public GpuTest {};

TEST_F(SharedMemory, OnceAllowedIsNotTakenBackByALaunchThatNeedsLess) {
  constexpr size_t kMuch = 80 * 1024, kLess = 56 * 1024;
  if (CurrentDeviceTraits().shared_memory_per_block < static_cast<int>(kMuch)) GTEST_SKIP() << "a GPU with less";
  AllowSharedMemory(Nothing, kMuch);
  AllowSharedMemory(Nothing, kLess);
  Launch("nothing", Nothing, {dim3(1), dim3(32), kMuch}, nullptr);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

TEST_F(SharedMemory, OfAllThatIsAllowedWithoutAskingLeavesRoomForWhatAKernelDeclares) {
  constexpr size_t kBytes = 48 * 1024;
  AllowSharedMemory(DeclaresSome, kBytes);
  Launch("declares some", DeclaresSome, {dim3(1), dim3(32), kBytes}, nullptr);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

}  // namespace
}  // namespace embedded::cuda
