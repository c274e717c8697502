// Engine directories for the stand-in, and what comes of a request.
#ifndef TEST_STAND_IN_TEST_ENGINE_H_
#define TEST_STAND_IN_TEST_ENGINE_H_

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "../../native/embedded/tiny_checkpoint.h"
#include "../../native/paths.h"
#include "tensorrt_llm/executor/executor.h"
#include "tensorrt_llm/plugins/api/tllmPlugin.h"

namespace stand_in {

namespace tle = tensorrt_llm::executor;
using tle::Executor;
using tle::FinishReason;
using tle::IdType;
using tle::Request;
using tle::Response;
using tle::VecTokens;

constexpr char kBuild[] = R"({"max_batch_size": 4, "max_beam_width": 4, "max_num_tokens": 64, "max_seq_len": 64,
  "gather_context_logits": true, "gather_generation_logits": true})";

// An engine that answers with letters, as the script says. The vocabulary has 259 tokens.
class LettersEngineDirectory {
 public:
  explicit LettersEngineDirectory(const std::string& script = "{}", const std::string& build_config = kBuild) {
    embedded::WriteFile(
        path() + "/config.json",
        R"({"version": "1", "pretrained_config": {"vocab_size": 259}, "build_config": )" + build_config + "}");
    embedded::WriteFile(path() + "/rank0.engine", "the stand-in answers with letters");
    embedded::WriteFile(path() + "/stand-in.json", script);
  }
  std::string path() const { return directory_.path(); }

 private:
  embedded::TemporaryDirectory directory_;
};

// Opens the plugin library by its path, as a client of the wheel must.
inline void RegisterPlugins() {
  void* const library = dlopen(FromProgram(PLUGIN_LIBRARY).c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << dlerror();
  const auto function = reinterpret_cast<decltype(&initTrtLlmPlugins)>(dlsym(library, "initTrtLlmPlugins"));
  ASSERT_TRUE(function(nullptr, "tensorrt_llm"));
}

inline std::unique_ptr<Executor> Open(const std::string& path,
                                      const tle::ExecutorConfig& config = tle::ExecutorConfig()) {
  RegisterPlugins();
  return std::make_unique<Executor>(path, tle::ModelType::kDECODER_ONLY, config);
}

// The config that allows what an engine directory allows.
inline tle::ExecutorConfig Generous() {
  tle::ExecutorConfig config(4);
#if STAND_IN_1_2
  config.setGatherGenerationLogits(true);
#endif
  return config;
}

inline bool IsFinal(const Response& response) { return response.hasError() || response.getResult().isFinal; }

// All responses of all requests until `finals` of them are final.
inline std::vector<Response> AwaitFinals(Executor& executor, size_t finals = 1) {
  std::vector<Response> all;
  while (finals > 0) {
    const std::vector<Response> responses = executor.awaitResponses(std::chrono::seconds(20));
    if (responses.empty()) {
      ADD_FAILURE() << finals << " requests have not ended after 20 seconds";
      return all;
    }
    for (const Response& response : responses) finals -= IsFinal(response) && finals > 0 ? 1 : 0;
    all.insert(all.end(), responses.begin(), responses.end());
  }
  return all;
}

inline std::vector<Response> Complete(Executor& executor, const Request& request) {
  static_cast<void>(executor.enqueueRequest(request));
  return AwaitFinals(executor);
}

// The first beam's tokens of all responses together.
inline VecTokens TokensOf(const std::vector<Response>& responses) {
  VecTokens tokens;
  for (const Response& response : responses) {
    const VecTokens& more = response.getResult().outputTokenIds.front();
    tokens.insert(tokens.end(), more.begin(), more.end());
  }
  return tokens;
}

// The first `count` letters after a prompt that ends in 0.
inline VecTokens Letters(int count, int first = 0) {
  VecTokens tokens;
  for (int i = 0; i < count; ++i) tokens.push_back('a' + (first + i) % 26);
  return tokens;
}

template <typename Call>
std::string MessageOf(Call call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing was thrown";
}

inline FinishReason ReasonOf(const Response& response) { return response.getResult().finishReasons.front(); }

}  // namespace stand_in

#endif  // TEST_STAND_IN_TEST_ENGINE_H_
