// A fixture's tests with cuBLASLt on the first GPU. Without the library each is skipped.
#ifndef TEST_NATIVE_EMBEDDED_CUDA_MATMUL_FIXTURE_H_
#define TEST_NATIVE_EMBEDDED_CUDA_MATMUL_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>

#include "native/embedded/cuda/linear_layers.h"

namespace embedded::cuda {

template <typename Fixture>
class WithMatmul : public Fixture {
 protected:
  void SetUp() override {
    Fixture::SetUp();
    if (testing::Test::IsSkipped()) return;
    try {
      matmul_ = std::make_unique<Matmul>(OpenDevice(0), "");
    } catch (const executor::Failure& failure) {
      ASSERT_EQ(failure.code(), EXECUTOR_UNAVAILABLE) << failure.what();
      GTEST_SKIP() << failure.what();
    }
  }
  std::unique_ptr<Matmul> matmul_;
};

}  // namespace embedded::cuda

#endif  // TEST_NATIVE_EMBEDDED_CUDA_MATMUL_FIXTURE_H_
