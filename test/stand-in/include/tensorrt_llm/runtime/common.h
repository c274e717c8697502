#ifndef STAND_IN_TENSORRT_LLM_RUNTIME_COMMON_H_
#define STAND_IN_TENSORRT_LLM_RUNTIME_COMMON_H_

#include <cstdint>
#include <vector>

namespace tensorrt_llm::runtime {

using SizeType32 = std::int32_t;
using SizeType64 = std::int64_t;
using TokenIdType = std::int32_t;
using LoraTaskIdType = std::uint64_t;

struct UniqueToken {
  TokenIdType tokenId;
  std::uint64_t tokenExtraId;
};
using VecUniqueTokens = std::vector<UniqueToken>;

}  // namespace tensorrt_llm::runtime

#endif  // STAND_IN_TENSORRT_LLM_RUNTIME_COMMON_H_
