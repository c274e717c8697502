// Failures of a machine that cannot run CUDA 13; none of these tests needs a GPU.
#include "native/embedded/cuda/device.h"

#include <gtest/gtest.h>

#include "expect_failure.h"
#include "native/embedded/cuda/check.h"
#include "native/embedded/cuda/driver.h"
#include "native/embedded/cuda/machine.h"

namespace embedded::cuda {
namespace {

DriverAnswers WorkingDriver() {
  DriverAnswers answers;
  answers.cuda_version = 13000;
  answers.devices.resize(1);
  return answers;
}

Device Named(const char* name, int architecture) {
  Device device;
  device.name = name;
  device.uuid = "GPU-0";
  device.architecture = architecture;
  return device;
}

TEST(Driver, IsAcceptedIfItRunsCuda13AndHasAGpu) { EXPECT_NO_THROW(CheckDriver(WorkingDriver())); }

TEST(Driver, ThatIsMissingIsNamedWithTheLoadersReason) {
  DriverAnswers answers;
  answers.open_error = "libcuda.so.1: cannot open shared object file";
  ExpectFailure([&] { CheckDriver(answers); }, EXECUTOR_UNAVAILABLE, "cannot open shared object file");
}

TEST(Driver, ThatIsTooOldIsToldWithBothVersions) {
  DriverAnswers answers = WorkingDriver();
  answers.cuda_version = 12040;
  ExpectFailure([&] { CheckDriver(answers); }, EXECUTOR_UNAVAILABLE, "CUDA up to 12.4; expected 13.0 or newer");
}

TEST(Driver, WithoutAGpuIsToldApartFromOneThatFails) {
  DriverAnswers answers = WorkingDriver();
  answers.devices.clear();
  ExpectFailure([&] { CheckDriver(answers); }, EXECUTOR_UNAVAILABLE, "finds no GPU");
  answers.result = 100;
  ExpectFailure([&] { CheckDriver(answers); }, EXECUTOR_UNAVAILABLE, "finds no GPU");
  answers.result = 999;
  answers.error = "cuInit: CUDA_ERROR_UNKNOWN";
  ExpectFailure([&] { CheckDriver(answers); }, EXECUTOR_UNAVAILABLE, "cuInit: CUDA_ERROR_UNKNOWN");
}

TEST(Driver, UpdatedUnderARunningKernelIsToldAsThat) {
  DriverAnswers answers = WorkingDriver();
  answers.result = 803;
  ExpectFailure([&] { CheckDriver(answers); }, EXECUTOR_UNAVAILABLE, "Restart the machine");
}

TEST(Device, OlderThanTuringIsRefusedByName) {
  ExpectFailure([] { CheckDevice(Named("Tesla V100", 70), {"70"}); }, EXECUTOR_UNAVAILABLE,
                "Tesla V100 (GPU-0) has compute capability 7.0; expected 7.5");
}

TEST(Device, RunsMachineCodeOfItsOwnAndPtxOfOlderGenerations) {
  const auto runs = [](int architecture, const std::vector<std::string>& compiled) {
    try {
      CheckDevice(Named("GPU", architecture), compiled);
      return true;
    } catch (const executor::Failure& failure) {
      EXPECT_EQ(failure.code(), EXECUTOR_UNAVAILABLE);
      return false;
    }
  };
  EXPECT_TRUE(runs(80, {"75", "80"}));
  EXPECT_TRUE(runs(86, {"80"})) << "a later GPU of one generation";
  EXPECT_FALSE(runs(80, {"86"}));
  EXPECT_FALSE(runs(90, {"80", "89"})) << "another generation";
  EXPECT_TRUE(runs(90, {"90a"}));
  EXPECT_FALSE(runs(100, {"90a"})) << "code of 90a is for 9.0 alone";
  EXPECT_TRUE(runs(120, {"90a", "90-virtual"})) << "PTX is for all that come later";
  EXPECT_FALSE(runs(89, {"90-virtual"}));
}

TEST(Device, WithoutCodeInThisLibraryIsToldWhatItWasBuiltFor) {
  ExpectFailure(
      [] {
        CheckDevice(Named("NVIDIA A10", 86), {"75", "90a"});
      },
      EXECUTOR_UNAVAILABLE,
      "NVIDIA A10 (GPU-0) has compute capability 8.6, for which this library has no code; it was built for 75, "
      "90a. Build it for all GPUs: npm run build:cuda.");
}

TEST(Device, IsComparedWithWhatThisLibraryWasCompiledFor) {
  ASSERT_FALSE(CompiledArchitectures().empty());
  for (const std::string& each : CompiledArchitectures()) EXPECT_GE(std::stoi(each), 75) << each;
}

TEST(Device, ThatDoesNotExistNamesItsOptionAndTheOthers) {
  const std::vector<Device> devices = {Named("NVIDIA H200", 90)};
  EXPECT_EQ(DeviceOf(devices, 0).name, "NVIDIA H200");
  for (const int id : {-1, 1})
    ExpectFailure([&] { DeviceOf(devices, id); }, EXECUTOR_INVALID_OPTION,
                  "parallel.deviceIds has " + std::to_string(id) + "; expected one of 0 (NVIDIA H200).",
                  "parallel.device_ids");
}

TEST(Device, ThatIsPartOfAGpuIsKnownByItsName) {
  EXPECT_TRUE(Named("NVIDIA H200 MIG 1g.18gb", 90).is_mig());
  EXPECT_FALSE(Named("NVIDIA H200", 90).is_mig());
}

TEST(Driver, OfThisMachineIsDescribedAsJson) {
  const std::string machine = DescribeMachine();
  EXPECT_EQ(machine.substr(0, 12), "{\"driver\": {");
  EXPECT_NE(machine.find("\"cublasLt\": {\"path\": "), std::string::npos) << machine;
}

TEST(Cuda, OutOfMemoryIsToldApartFromALostGpu) {
  EXPECT_EQ(CudaFailure(cudaErrorMemoryAllocation, "testing").code(), EXECUTOR_OUT_OF_MEMORY);
  EXPECT_EQ(CudaFailure(cudaErrorIllegalAddress, "testing").code(), EXECUTOR_FAILED);
  EXPECT_EQ(CudaFailure(cudaErrorNoKernelImageForDevice, "testing").code(), EXECUTOR_UNAVAILABLE);
}

TEST(Device, OfThisMachineOpensOrSaysWhyNot) {
  try {
    const std::vector<Device> devices = FindDevices();
    ASSERT_FALSE(devices.empty());
    const Device opened = OpenDevice(0);
    EXPECT_GT(opened.multiprocessors, 0);
    EXPECT_GT(DeviceMemory().total_bytes, 0u);
    ExpectFailure([&] { OpenDevice(static_cast<int>(devices.size())); }, EXECUTOR_INVALID_OPTION, opened.name,
                  "parallel.device_ids");
  } catch (const executor::Failure& failure) {
    EXPECT_EQ(failure.code(), EXECUTOR_UNAVAILABLE) << failure.what();
  }
}

}  // namespace
}  // namespace embedded::cuda
