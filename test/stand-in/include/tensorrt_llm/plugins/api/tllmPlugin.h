#ifndef STAND_IN_TENSORRT_LLM_PLUGINS_API_TLLM_PLUGIN_H_
#define STAND_IN_TENSORRT_LLM_PLUGINS_API_TLLM_PLUGIN_H_

namespace nvinfer1 {
class ILogger;
}

namespace tensorrt_llm::plugins::api {

auto constexpr kDefaultNamespace = "tensorrt_llm";

class LoggerManager {
 public:
  static nvinfer1::ILogger* defaultLogger() noexcept;
};

}  // namespace tensorrt_llm::plugins::api

extern "C" {
bool initTrtLlmPlugins(void* logger = tensorrt_llm::plugins::api::LoggerManager::defaultLogger(),
                       char const* libNamespace = tensorrt_llm::plugins::api::kDefaultNamespace);
}

#endif  // STAND_IN_TENSORRT_LLM_PLUGINS_API_TLLM_PLUGIN_H_
