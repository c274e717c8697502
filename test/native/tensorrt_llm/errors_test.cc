#include "tensorrt_llm/errors.h"

#include <gtest/gtest.h>

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

TEST(Errors, TellAFullQueueFromWhatElseIsRefused) {
  EXPECT_EQ(FailureOf(kAssertion, EXECUTOR_INTERNAL).code(), EXECUTOR_QUEUE_FULL);
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

}  // namespace
}  // namespace adapter
