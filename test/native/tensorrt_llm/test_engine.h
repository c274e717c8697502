// Engine directories that the adapter takes and the stand-in runs.
#ifndef TEST_TENSORRT_LLM_TEST_ENGINE_H_
#define TEST_TENSORRT_LLM_TEST_ENGINE_H_

#include <gtest/gtest.h>

#include <string>

#include "../embedded/tiny_checkpoint.h"
#include "native/executor/cpp/failure.h"
#include "native/tensorrt_llm/engine.h"
#include "native/tensorrt_llm/features.h"

namespace adapter {

constexpr bool kIs013 = std::string_view(tle::kTensorRtLlmVersion) == "0.13.0";

inline std::string ConfigJson(const std::string& version = tle::kTensorRtLlmVersion, int tensor_parallel_size = 1) {
  return R"({"version": ")" + version + R"(", "pretrained_config": {"dtype": "float16", "vocab_size": 259, "mapping":
    {"tp_size": )" +
         std::to_string(tensor_parallel_size) + R"(}}, "build_config": {"max_batch_size": 4,
    "max_beam_width": 4, "max_num_tokens": 64, "max_seq_len": 64, "gather_context_logits": true,
    "gather_generation_logits": true, "lora_config": {"lora_target_modules": ["attn_q"]},
    "plugin_config": {"tokens_per_block": 32, "lora_plugin": "float16"}}})";
}

// The stand-in answers it with letters: token i is 'a' + (last prompt token + beam + i) % 26, likeliest by a logit of 1 over
// 0, and its logprob is -0.5.
class TestEngine {
 public:
  explicit TestEngine(const std::string& script = "{}", const std::string& config = ConfigJson()) {
    embedded::WriteFile(path() + "/config.json", config);
    embedded::WriteFile(path() + "/rank0.engine", "the stand-in answers with letters");
    embedded::WriteFile(path() + "/stand-in.json", script);
  }
  std::string path() const { return directory_.path(); }
  Engine Read() const { return ReadEngine(path()); }

 private:
  embedded::TemporaryDirectory directory_;
};

template <typename Call>
executor::Failure FailureOfCall(Call call) {
  try {
    call();
  } catch (const executor::Failure& failure) {
    return failure;
  }
  return executor::Failure(EXECUTOR_OK, "nothing was thrown");
}

}  // namespace adapter

#endif  // TEST_TENSORRT_LLM_TEST_ENGINE_H_
