#include "native/tensorrt_llm/devices.h"

#include <cstdlib>

#include "test_engine.h"

// Over the driver of the stand-in.
namespace adapter {
namespace {

class Devices : public testing::Test {
 protected:
  ~Devices() override {
    unsetenv("STAND_IN_GPUS");
    unsetenv("STAND_IN_CUDA_ERROR");
    unsetenv("CUDA_VISIBLE_DEVICES");
  }
};

TEST_F(Devices, AreTheDriversInItsOrder) {
  setenv("STAND_IN_GPUS", "7.5 Tesla T4, 12.0 RTX 5090", 1);
  const auto devices = FindDevices();
  ASSERT_TRUE(devices.has_value());
  ASSERT_EQ(devices->size(), 2u);
  EXPECT_EQ((*devices)[0].name, "Tesla T4");
  EXPECT_EQ((*devices)[0].compute_capability, 75);
  EXPECT_EQ((*devices)[1].name, "RTX 5090");
  EXPECT_EQ((*devices)[1].compute_capability, 120);
  EXPECT_EQ((*devices)[1].memory_bytes, 80'000'000'000u);
}

TEST_F(Devices, AreRefusedWhereThereAreNone) {
  setenv("CUDA_VISIBLE_DEVICES", "", 1);
  const auto expect_none = [] {
    const auto failure = FailureOfCall([] { FindDevices(); });
    EXPECT_EQ(failure.code(), EXECUTOR_UNAVAILABLE);
    EXPECT_NE(std::string(failure.what()).find("found no GPU (CUDA_VISIBLE_DEVICES is \"\")"), std::string::npos)
        << failure.what();
  };
  setenv("STAND_IN_GPUS", "", 1);
  expect_none();
  setenv("STAND_IN_CUDA_ERROR", "100", 1);
  expect_none();
}

TEST_F(Devices, AreRefusedWhereTheDriverFails) {
  setenv("STAND_IN_CUDA_ERROR", "803", 1);
  const auto failure = FailureOfCall([] { FindDevices(); });
  EXPECT_EQ(failure.code(), EXECUTOR_UNAVAILABLE);
  EXPECT_NE(std::string(failure.what()).find("cuInit returned error 803"), std::string::npos) << failure.what();
}

}  // namespace
}  // namespace adapter
