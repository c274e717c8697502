#include "tensorrt_llm/errors.h"

#include <gtest/gtest.h>

#include <ostream>

namespace adapter {
namespace {

constexpr char kAssertion[] =
    "[TensorRT-LLM][ERROR] Assertion failed: Maximum queue size of 1 has been reached, please try again later "
    "(/src/tensorrt_llm/cpp/tensorrt_llm/executor/executorImpl.cpp:1234)\n1       0x7f0d6f4e8c5a\n2       main + 12";

TEST(Errors, KeepTheMessageOfAnAssertionWithoutItsPrefixPlaceAndBacktrace) {
  EXPECT_EQ(MessageOf(kAssertion), "Maximum queue size of 1 has been reached, please try again later");
}

TEST(Errors, KeepTheMessageOfARefusedRequest) {
  EXPECT_EQ(MessageOf("Encountered an error when fetching new request: [TensorRT-LLM][ERROR] Assertion failed: Prompt "
                      "length (9) exceeds maximum input length (8). (/a/b.cpp:1)\n1  0x7f"),
            "Prompt length (9) exceeds maximum input length (8).");
}

TEST(Errors, KeepAMessageThatHasNoneOfThese) { EXPECT_EQ(MessageOf("no (brackets) here"), "no (brackets) here"); }

TEST(Errors, TellWhatIsRefusedByItsWording) {
  EXPECT_EQ(FailureOf("something else", EXECUTOR_INTERNAL).code(), EXECUTOR_INTERNAL);
  EXPECT_EQ(FailureOf("Prompt length (9) exceeds maximum input length (8)", EXECUTOR_INTERNAL).code(),
            EXECUTOR_PROMPT_TOO_LONG);
  EXPECT_EQ(FailureOf("Return context logit need to build engine with gather_context_logits", EXECUTOR_INTERNAL).code(),
            EXECUTOR_UNSUPPORTED);
}

TEST(Errors, TakeALostGpuForTheEndOfTheExecutor) {
  const auto failure = FailureOf(
      "Encountered an error in forwardAsync function: [TensorRT-LLM][ERROR] CUDA runtime error in "
      "cudaStreamSynchronize: an illegal memory access was encountered (/a/b.h:2)",
      EXECUTOR_INTERNAL, 7);
  EXPECT_EQ(failure.code(), EXECUTOR_FAILED);
  EXPECT_EQ(failure.request_id(), 7u);
  EXPECT_NE(std::string(failure.what()).find("start it again"), std::string::npos) << failure.what();
}

struct LoadFailure {
  ExecutorCode code;
  const char* text;
  friend void PrintTo(const LoadFailure& failure, std::ostream* out) { *out << failure.text; }
};

class ErrorsOfALoad : public testing::TestWithParam<LoadFailure> {};

TEST_P(ErrorsOfALoad, AreToldByTheirWords) {
  const auto failure = FailureOf(GetParam().text, EXECUTOR_INTERNAL);
  EXPECT_EQ(failure.code(), GetParam().code) << failure.what();
}

// As TensorRT, TensorRT-LLM, CUDA and NCCL word them; the places in their sources are left out.
INSTANTIATE_TEST_SUITE_P(
    , ErrorsOfALoad,
    testing::Values(
        LoadFailure{EXECUTOR_ENGINE_WEIGHTS,
                    "6: The engine plan file is generated on an incompatible device, expecting compute 9.0 got compute "
                    "8.9, please rebuild."},
        LoadFailure{
            EXECUTOR_ENGINE_WEIGHTS,
            "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (Serialization assertion "
            "stdVersionRead == kSERIALIZATION_VERSION failed.Version tag does not match. Note: Current Version: "
            "228, Serialized Engine Version: 237)"},
        LoadFailure{
            EXECUTOR_ENGINE_WEIGHTS,
            "6: The engine plan file is not compatible with this version of TensorRT, expecting library version "
            "9.2.0.5 got 9.3.0.1, please rebuild."},
        LoadFailure{EXECUTOR_UNAVAILABLE, "3: getPluginCreator could not find plugin: Gemmtensorrt_llm version: 1"},
        LoadFailure{
            EXECUTOR_UNAVAILABLE,
            "Error Code 1: Serialization (Serialization assertion creator failed.Cannot deserialize plugin since "
            "corresponding IPluginCreator not found in Plugin Registry)"},
        LoadFailure{EXECUTOR_ENGINE_WEIGHTS,
                    "[TensorRT-LLM][ERROR] Assertion failed: Failed to deserialize cuda engine."},
        LoadFailure{
            EXECUTOR_UNAVAILABLE,
            "[TensorRT-LLM][ERROR] CUDA runtime error in cudaGetDeviceCount(&deviceCount): CUDA driver version is "
            "insufficient for CUDA runtime version"},
        LoadFailure{
            EXECUTOR_UNAVAILABLE,
            "[TensorRT-LLM][ERROR] CUDA runtime error in cudaGetDeviceCount(&deviceCount): no CUDA-capable device "
            "is detected"},
        LoadFailure{EXECUTOR_UNAVAILABLE,
                    "[TensorRT-LLM][ERROR] CUDA runtime error in cudaGetLastError(): no kernel image is available for "
                    "execution on the device"},
        LoadFailure{EXECUTOR_ENGINE_RANKS,
                    "[TensorRT-LLM][ERROR] CUDA runtime error in cudaSetDevice(device): invalid device ordinal"},
        LoadFailure{
            EXECUTOR_ENGINE_RANKS,
            "[TensorRT-LLM][ERROR] Assertion failed: With communicationMode kLEADER, MPI worldSize is expected to "
            "be equal to tp*pp when participantIds are not specified"},
        LoadFailure{EXECUTOR_ENGINE_RANKS,
                    "[TensorRT-LLM][ERROR] Assertion failed: MPI size 1 != TP size 2 * PP size 1 * CP Size 1"},
        LoadFailure{EXECUTOR_ENGINE_RANKS,
                    "[TensorRT-LLM][ERROR] Assertion failed: Error opening engine file: /engines/model/rank6.engine"},
        LoadFailure{EXECUTOR_ENGINE_NOT_FOUND,
                    "[TensorRT-LLM][ERROR] Assertion failed: File does not exist: /engines/model/config.json"},
        LoadFailure{EXECUTOR_ENGINE_CONFIG, "[json.exception.out_of_range.403] key 'context_fmha' not found"},
        LoadFailure{EXECUTOR_MODEL_UNSUPPORTED, "[TensorRT-LLM][ERROR] Model data type 'fp8' not supported"},
        LoadFailure{EXECUTOR_MODEL_UNSUPPORTED,
                    "[TensorRT-LLM][ERROR] Assertion failed: Unsupported data type, pre SM 80 GPUs do not support "
                    "bfloat16"},
        LoadFailure{EXECUTOR_MODEL_UNSUPPORTED, "[TensorRT-LLM][ERROR] Assertion failed: Unsupported architecture"},
        LoadFailure{EXECUTOR_OUT_OF_MEMORY,
                    "[TensorRT-LLM][ERROR] Failed to allocate memory for weights. Please try reducing "
                    "--gpu_weights_percent."},
        LoadFailure{EXECUTOR_OUT_OF_MEMORY,
                    "[TensorRT-LLM][ERROR] Internal Error: Failed to create an execution context."},
        LoadFailure{EXECUTOR_OUT_OF_MEMORY,
                    "Requested amount of GPU memory (12345 bytes) could not be allocated. There may not be enough free "
                    "memory for allocation to succeed."},
        LoadFailure{EXECUTOR_OUT_OF_MEMORY,
                    "[TensorRT-LLM][ERROR] CUDA runtime error in ::cudaMallocAsync(ptr, n, mCudaStream->get()): out of "
                    "memory"},
        LoadFailure{EXECUTOR_OUT_OF_MEMORY, "Error Code 2: OutOfMemory (Requested size was 16654532608 bytes.)"},
        LoadFailure{EXECUTOR_FAILED,
                    "[TensorRT-LLM][ERROR] Assertion failed: Failed, NCCL error ncclCommunicator.cpp:90 'invalid usage "
                    "(run with NCCL_DEBUG=WARN for details)'"}));

}  // namespace
}  // namespace adapter
