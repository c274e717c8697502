#include "native/tensorrt_llm/errors.h"

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
  EXPECT_NE(std::string(failure.what()).find("start a new one"), std::string::npos) << failure.what();
}

struct Told {
  ExecutorCode code;
  const char* text;
  friend void PrintTo(const Told& told, std::ostream* out) { *out << told.text; }
};

class ErrorsByTheirWords : public testing::TestWithParam<Told> {};

TEST_P(ErrorsByTheirWords, HaveACodeAndAFix) {
  const auto failure = FailureOf(GetParam().text, EXECUTOR_INTERNAL);
  EXPECT_EQ(failure.code(), GetParam().code) << failure.what();
  std::string message = "TensorRT-LLM: " + MessageOf(GetParam().text);
  if (message.back() != '.') message += '.';
  message += ' ';
  const std::string what = failure.what();
  EXPECT_EQ(what.substr(0, message.size()), message);
  EXPECT_GT(what.size(), message.size());
  EXPECT_EQ(what.back(), '.');
  EXPECT_EQ(what.find(".."), std::string::npos) << what;
}

// As TensorRT-LLM words them; the places in its sources are left out.
INSTANTIATE_TEST_SUITE_P(
    OfARequest, ErrorsByTheirWords,
    testing::Values(
        Told{EXECUTOR_UNSUPPORTED,
             "Encountered an error when fetching new request: [TensorRT-LLM][ERROR] Assertion failed: To return "
             "generation logits, gather_generation_logits must be enabled in ExecutorConfig"},
        Told{EXECUTOR_UNSUPPORTED,
             "Encountered an error when fetching new request: [TensorRT-LLM][ERROR] Assertion failed: Request is "
             "specified with GuidedDecodingParams, but GuidedDecoder is not setup. Please provide a valid "
             "GuidedDecodingConfig to setup GuidedDecoder."},
        Told{EXECUTOR_INVALID_OPTION, "Guided decoding does not support with beam search."},
        Told{EXECUTOR_INVALID_OPTION,
             "Encountered an error in forwardAsync function: [TensorRT-LLM][ERROR] Assertion failed: Can't use "
             "speculative decoding with beam search."},
        Told{EXECUTOR_INVALID_INPUT, "LoRA task 10 not found in cache. Please send LoRA weights with request"},
        Told{EXECUTOR_OUT_OF_MEMORY, "PEFT Cache is full. Could not store taskId=10"},
        Told{EXECUTOR_OUT_OF_MEMORY,
             "Encountered an error in forwardAsync function: Caught exception during copyTask ensure batch -- Cache is "
             "full. There are no done tasks to evict"},
        Told{EXECUTOR_INVALID_INPUT, "Expected lora weights to be the same data type as base model"},
        Told{EXECUTOR_INVALID_INPUT, "Expected dim1 lora_weights and lora_keys to have the same size"},
        Told{EXECUTOR_INVALID_INPUT, "Expected dim2 of lora_keys to have a size in [3, 4]"},
        Told{EXECUTOR_INVALID_INPUT, "Expected  lora keys to have TYPE_INT32 but was FLOAT"},
        Told{EXECUTOR_INVALID_INPUT, "Expected batch dimension to be 1 for each lora request"},
        Told{EXECUTOR_INVALID_INPUT, "lora module mlp_gate not enabled for this model"},
        Told{EXECUTOR_INVALID_INPUT, "lora_weights has to few values for attn_q"},
        Told{EXECUTOR_INVALID_INPUT, "Expected layerId to be in the range [0, numModelLayers)"},
        Told{EXECUTOR_INVALID_INPUT, "Expected adapterSize to be > 0"},
        Told{EXECUTOR_INVALID_INPUT, "Invalid low_rank (16). low_rank must be smaller than mMaxLowRank (8)"},
        Told{EXECUTOR_INVALID_OPTION,
             "Encountered an error when fetching new request: Draft tokens length (2) exceeds maximum draft tokens "
             "length (0)."},
        Told{EXECUTOR_UNSUPPORTED,
             "Encountered an error in forwardAsync function: Embedding bias data type must be same as model logits "
             "type."},
        Told{EXECUTOR_INVALID_INPUT,
             "[TensorRT-LLM][ERROR] Assertion failed: Input token extra ids must be provided when enabling kv cache "
             "reuse with prompt table"},
        Told{EXECUTOR_INVALID_INPUT,
             "inputTokenExtraIds vector size (4) must be the same as input token vector size (5)."},
        Told{EXECUTOR_INVALID_INPUT, "Expected prompt embedding table to have shape [vocabSize, hiddenSize]"},
        Told{EXECUTOR_INVALID_OPTION, "[TensorRT-LLM][ERROR] Assertion failed: Incorrect sampling config"},
        Told{EXECUTOR_INVALID_OPTION,
             "Request sequence length is potentially greater than max input length. This cannot be run unless "
             "streaming is disabled, context chunking is enabled or the GUARANTEED_NO_EVICT scheduling policy is "
             "used"}));

// As TensorRT, TensorRT-LLM, CUDA and NCCL word them.
INSTANTIATE_TEST_SUITE_P(
    OfALoad, ErrorsByTheirWords,
    testing::Values(
        Told{EXECUTOR_ENGINE_WEIGHTS,
             "6: The engine plan file is generated on an incompatible device, expecting compute 9.0 got compute "
             "8.9, please rebuild."},
        Told{EXECUTOR_ENGINE_WEIGHTS,
             "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (Serialization assertion "
             "stdVersionRead == kSERIALIZATION_VERSION failed.Version tag does not match. Note: Current Version: "
             "228, Serialized Engine Version: 237)"},
        Told{EXECUTOR_ENGINE_WEIGHTS,
             "6: The engine plan file is not compatible with this version of TensorRT, expecting library version "
             "9.2.0.5 got 9.3.0.1, please rebuild."},
        Told{EXECUTOR_UNAVAILABLE, "3: getPluginCreator could not find plugin: Gemmtensorrt_llm version: 1"},
        Told{EXECUTOR_UNAVAILABLE,
             "Error Code 1: Serialization (Serialization assertion creator failed.Cannot deserialize plugin since "
             "corresponding IPluginCreator not found in Plugin Registry)"},
        Told{EXECUTOR_ENGINE_WEIGHTS, "[TensorRT-LLM][ERROR] Assertion failed: Failed to deserialize cuda engine."},
        Told{EXECUTOR_UNAVAILABLE,
             "[TensorRT-LLM][ERROR] CUDA runtime error in cudaGetDeviceCount(&deviceCount): CUDA driver version is "
             "insufficient for CUDA runtime version"},
        Told{EXECUTOR_UNAVAILABLE,
             "[TensorRT-LLM][ERROR] CUDA runtime error in cudaGetDeviceCount(&deviceCount): no CUDA-capable device "
             "is detected"},
        Told{EXECUTOR_UNAVAILABLE,
             "[TensorRT-LLM][ERROR] CUDA runtime error in cudaGetLastError(): no kernel image is available for "
             "execution on the device"},
        Told{EXECUTOR_ENGINE_RANKS,
             "[TensorRT-LLM][ERROR] CUDA runtime error in cudaSetDevice(device): invalid device ordinal"},
        Told{EXECUTOR_ENGINE_RANKS,
             "[TensorRT-LLM][ERROR] Assertion failed: With communicationMode kLEADER, MPI worldSize is expected to "
             "be equal to tp*pp when participantIds are not specified"},
        Told{EXECUTOR_ENGINE_RANKS,
             "[TensorRT-LLM][ERROR] Assertion failed: MPI size 1 != TP size 2 * PP size 1 * CP Size 1"},
        Told{EXECUTOR_ENGINE_RANKS,
             "[TensorRT-LLM][ERROR] Assertion failed: Error opening engine file: /engines/model/rank6.engine"},
        Told{EXECUTOR_ENGINE_NOT_FOUND,
             "[TensorRT-LLM][ERROR] Assertion failed: File does not exist: /engines/model/config.json"},
        Told{EXECUTOR_ENGINE_CONFIG, "[json.exception.out_of_range.403] key 'context_fmha' not found"},
        Told{EXECUTOR_MODEL_UNSUPPORTED, "[TensorRT-LLM][ERROR] Model data type 'fp8' not supported"},
        Told{EXECUTOR_MODEL_UNSUPPORTED,
             "[TensorRT-LLM][ERROR] Assertion failed: Unsupported data type, pre SM 80 GPUs do not support "
             "bfloat16"},
        Told{EXECUTOR_MODEL_UNSUPPORTED, "[TensorRT-LLM][ERROR] Assertion failed: Unsupported architecture"},
        Told{EXECUTOR_OUT_OF_MEMORY,
             "[TensorRT-LLM][ERROR] Failed to allocate memory for weights. Please try reducing "
             "--gpu_weights_percent."},
        Told{EXECUTOR_OUT_OF_MEMORY, "[TensorRT-LLM][ERROR] Internal Error: Failed to create an execution context."},
        Told{EXECUTOR_OUT_OF_MEMORY,
             "Requested amount of GPU memory (12345 bytes) could not be allocated. There may not be enough free "
             "memory for allocation to succeed."},
        Told{EXECUTOR_OUT_OF_MEMORY,
             "[TensorRT-LLM][ERROR] CUDA runtime error in ::cudaMallocAsync(ptr, n, mCudaStream->get()): out of "
             "memory"},
        Told{EXECUTOR_OUT_OF_MEMORY, "Error Code 2: OutOfMemory (Requested size was 16654532608 bytes.)"},
        Told{EXECUTOR_FAILED,
             "[TensorRT-LLM][ERROR] Assertion failed: Failed, NCCL error ncclCommunicator.cpp:90 'invalid usage "
             "(run with NCCL_DEBUG=WARN for details)'"}));

}  // namespace
}  // namespace adapter
