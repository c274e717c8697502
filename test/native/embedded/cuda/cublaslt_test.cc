// cuBLASLt's declarations, its search, and the file of choices; none of these tests needs a GPU.
#include "native/embedded/cuda/cublaslt.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "expect_failure.h"
#include "native/embedded/cuda/matmul_choices.h"

#if __has_include(<cublasLt.h>)  // the wheel nvidia-cublas or a toolkit: not needed for a build
#include <cublasLt.h>
static_assert(sizeof(embedded::cuda::lt::Algorithm) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(embedded::cuda::lt::Candidate) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(embedded::cuda::lt::Candidate, workspace_bytes) ==
              offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(embedded::cuda::lt::Candidate, status) == offsetof(cublasLtMatmulHeuristicResult_t, state));
static_assert(embedded::cuda::lt::kSuccess == CUBLAS_STATUS_SUCCESS);
static_assert(embedded::cuda::lt::kComputeFloat32 == CUBLAS_COMPUTE_32F);
static_assert(embedded::cuda::lt::kTranspose == CUBLAS_OP_T);
static_assert(embedded::cuda::lt::kTransposeA == CUBLASLT_MATMUL_DESC_TRANSA);
static_assert(embedded::cuda::lt::kMaxWorkspaceBytes == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
#endif

namespace embedded::cuda {
namespace {

namespace fs = std::filesystem;

// A directory that is removed with the test, and an environment variable that is put back.
class CublasLtTest : public testing::Test {
 protected:
  CublasLtTest() {
    std::string name = (fs::temp_directory_path() / "cublaslt-test-XXXXXX").string();
    dir_ = mkdtemp(name.data());
  }
  ~CublasLtTest() override {
    fs::remove_all(dir_);
    unsetenv("NODE_TENSORRT_LLM_CUBLASLT");
    unsetenv("VIRTUAL_ENV");
  }
  fs::path Touch(const fs::path& file) const {
    fs::create_directories((dir_ / file).parent_path());
    std::ofstream(dir_ / file) << "no library";
    return dir_ / file;
  }
  fs::path dir_;
};

MatmulProblem Problem(int tokens) { return {{Element::kBfloat16, 4096, 1024}, tokens, MatmulOutput::kFloats}; }

Device H200() {
  Device device;
  device.name = "NVIDIA H200";
  device.multiprocessors = 132;
  return device;
}

TEST_F(CublasLtTest, IsLookedForWhereTheVariableSaysAndNowhereElse) {
  const fs::path file = Touch("libcublasLt.so.13");
  setenv("NODE_TENSORRT_LLM_CUBLASLT", dir_.c_str(), 1);
  EXPECT_EQ(CublasLtCandidates(), std::vector<std::string>{file.string()});
  setenv("NODE_TENSORRT_LLM_CUBLASLT", "/nowhere/lt.so", 1);
  EXPECT_EQ(CublasLtCandidates(), std::vector<std::string>{"/nowhere/lt.so"});
}

TEST_F(CublasLtTest, IsLookedForInTheWheelOfAVirtualEnvironment) {
  const fs::path file = Touch("lib/python3.12/site-packages/nvidia/cu13/lib/libcublasLt.so.13");
  setenv("VIRTUAL_ENV", dir_.c_str(), 1);
  const std::vector<std::string> candidates = CublasLtCandidates();
  EXPECT_NE(std::find(candidates.begin(), candidates.end(), file.string()), candidates.end());
  EXPECT_EQ(candidates.front(), "libcublasLt.so.13") << "the loader's path comes first";
}

TEST_F(CublasLtTest, ThatCannotBeOpenedIsToldWithHowToInstallIt) {
  setenv("NODE_TENSORRT_LLM_CUBLASLT", Touch("libcublasLt.so.13").c_str(), 1);
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // in a process of its own: this one may have opened the library
  EXPECT_EXIT(
      {
        try {
          OpenCublasLt();
        } catch (const executor::Failure& failure) {
          std::fprintf(stderr, "%s", failure.what());
          std::exit(failure.code());
        }
      },
      testing::ExitedWithCode(EXECUTOR_UNAVAILABLE), "python3 -m pip install nvidia-cublas");
}

TEST_F(CublasLtTest, ChoicesOfOneLoadAreFoundByTheNext) {
  const lt::Algorithm algorithm{{1, 2, 3, 0xffffffffffffffff, 5, 6, 7, 8}};
  MatmulChoices first(dir_.string(), H200(), 130002);
  first.Set(Problem(64), algorithm);
  first.Save();
  const MatmulChoices second(dir_.string(), H200(), 130002);
  const std::optional<lt::Algorithm> found = second.Find(Problem(64));
  ASSERT_TRUE(found);
  EXPECT_TRUE(std::equal(found->data, found->data + 8, algorithm.data));
  EXPECT_FALSE(second.Find(Problem(32)));
}

TEST_F(CublasLtTest, ChoicesOfAnotherLibraryOrGpuAreNotTaken) {
  MatmulChoices first(dir_.string(), H200(), 130002);
  first.Set(Problem(64), {});
  first.Save();
  EXPECT_FALSE(MatmulChoices(dir_.string(), H200(), 130100).Find(Problem(64)));
  Device other = H200();
  other.name = "NVIDIA H100";
  EXPECT_FALSE(MatmulChoices(dir_.string(), other, 130002).Find(Problem(64)));
}

TEST_F(CublasLtTest, TwoProcessesKeepEachOthersChoices) {
  MatmulChoices one(dir_.string(), H200(), 130002), two(dir_.string(), H200(), 130002);
  one.Set(Problem(1), {});
  two.Set(Problem(2), {});
  one.Save();
  two.Save();
  const MatmulChoices both(dir_.string(), H200(), 130002);
  EXPECT_TRUE(both.Find(Problem(1)));
  EXPECT_TRUE(both.Find(Problem(2)));
}

TEST_F(CublasLtTest, KernelsOfOneLoadAreFoundByTheNext) {
  MatmulChoices first(dir_.string(), H200(), 130002);
  first.SetKernel("bfloat16/4096/1024/64/elements/floats", "block-ring");
  first.Set(Problem(64), {});
  first.Save();
  const MatmulChoices second(dir_.string(), H200(), 130002);
  EXPECT_EQ(second.FindKernel("bfloat16/4096/1024/64/elements/floats"), "block-ring");
  EXPECT_FALSE(second.FindKernel("bfloat16/4096/1024/32/elements/floats"));
  EXPECT_TRUE(second.Find(Problem(64)));
}

TEST_F(CublasLtTest, ADirectoryThatCannotBeWrittenIsNoFailure) {
  MatmulChoices choices("/proc/nowhere/matmul", H200(), 130002);
  choices.Set(Problem(64), {});
  choices.Save();
  EXPECT_TRUE(choices.Find(Problem(64)));
}

TEST_F(CublasLtTest, ADamagedFileOfChoicesIsPassedOver) {
  MatmulChoices first(dir_.string(), H200(), 130002);
  first.Set(Problem(64), {});
  first.Save();
  const fs::path file = fs::directory_iterator(dir_)->path();
  std::ofstream(file, std::ios::app) << "bfloat16 4096 1024 32 floats 1 2 3\nnonsense\nkernel\nkernel alone\n";
  const MatmulChoices second(dir_.string(), H200(), 130002);
  EXPECT_TRUE(second.Find(Problem(64)));
  EXPECT_FALSE(second.Find(Problem(32)));
  EXPECT_FALSE(second.FindKernel("alone"));
}

}  // namespace
}  // namespace embedded::cuda
