#ifndef STAND_IN_TENSORRT_LLM_RUNTIME_RUNTIME_DEFAULTS_H_
#define STAND_IN_TENSORRT_LLM_RUNTIME_RUNTIME_DEFAULTS_H_

#include <optional>
#include <utility>
#include <vector>

#include "tensorrt_llm/runtime/common.h"

namespace tensorrt_llm::runtime {

struct RuntimeDefaults {
  RuntimeDefaults(std::optional<std::vector<SizeType32>> maxAttentionWindowVec,
                  std::optional<SizeType32> sinkTokenLength)
      : maxAttentionWindowVec(std::move(maxAttentionWindowVec)), sinkTokenLength(sinkTokenLength) {}

  std::optional<std::vector<SizeType32>> maxAttentionWindowVec;
  std::optional<SizeType32> sinkTokenLength;

  RuntimeDefaults() = default;
};

}  // namespace tensorrt_llm::runtime

#endif  // STAND_IN_TENSORRT_LLM_RUNTIME_RUNTIME_DEFAULTS_H_
