// The words of the API: aliases and enums, with DecodingMode and the statistics that real clients get with them.
#ifndef STAND_IN_TENSORRT_LLM_EXECUTOR_TYPES_H_
#define STAND_IN_TENSORRT_LLM_EXECUTOR_TYPES_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tensorrt_llm/stand_in_version.h"

namespace tensorrt_llm::runtime {
class CudaStream;
}

namespace tensorrt_llm::executor {

class Request;
class Tensor;

using TensorPtr = std::shared_ptr<Tensor>;
using SizeType32 = std::int32_t;
using FloatType = float;
using TokenIdType = std::int32_t;
using VecTokens = std::vector<TokenIdType>;
using BeamTokens = std::vector<VecTokens>;
using IdType = std::uint64_t;
using VecTokenExtraIds = std::vector<IdType>;
using IterationType = std::uint64_t;
using RandomSeedType = std::uint64_t;
using VecLogProbs = std::vector<FloatType>;
using StreamPtr = std::shared_ptr<tensorrt_llm::runtime::CudaStream>;
using LogitsPostProcessor =
    std::function<void(IdType, Tensor&, BeamTokens const&, StreamPtr const&, std::optional<IdType>)>;
using LogitsPostProcessorMap = std::unordered_map<std::string, LogitsPostProcessor>;
using LogitsPostProcessorBatched = std::function<void(std::vector<IdType> const&, std::vector<Tensor>&,
                                                      std::vector<std::reference_wrapper<BeamTokens const>> const&,
                                                      StreamPtr const&, std::vector<std::optional<IdType>> const&)>;
using MedusaChoices = std::vector<std::vector<SizeType32>>;
using PriorityType = float;
using BufferView = std::basic_string_view<uint8_t>;
#if STAND_IN_1_2
using SizeType64 = std::int64_t;
using MillisecondsType = std::chrono::milliseconds;
using CacheSaltIDType = std::uint64_t;
using EagleChoices = std::vector<std::vector<SizeType32>>;
#endif

enum class DataType { kBOOL, kUINT8, kINT8, kINT32, kINT64, kBF16, kFP8, kFP16, kFP32, kUNKNOWN };

enum class RequestType {
  REQUEST_TYPE_CONTEXT_AND_GENERATION = 0,
  REQUEST_TYPE_CONTEXT_ONLY = 1,
  REQUEST_TYPE_GENERATION_ONLY = 2
};

// The DataType of a C++ type. half, bfloat16 and float8 are CUDA's, which the stand-in does without.
template <typename T, bool = false>
struct TypeTraits {};
template <>
struct TypeTraits<float> {
  static constexpr auto value = DataType::kFP32;
};
template <>
struct TypeTraits<std::int8_t> {
  static constexpr auto value = DataType::kINT8;
};
template <>
struct TypeTraits<std::int32_t> {
  static constexpr auto value = DataType::kINT32;
};
template <>
struct TypeTraits<std::int64_t> {
  static constexpr auto value = DataType::kINT64;
};
template <>
struct TypeTraits<bool> {
  static constexpr auto value = DataType::kBOOL;
};
template <>
struct TypeTraits<std::uint8_t> {
  static constexpr auto value = DataType::kUINT8;
};

enum class MemoryType { kCPU, kCPU_PINNED, kCPU_PINNEDPOOL, kGPU, kUVM, kUNKNOWN };

enum class ModelType { kDECODER_ONLY = 0, kENCODER_ONLY = 1, kENCODER_DECODER = 2 };

enum class BatchingType { kSTATIC = 0, kINFLIGHT = 1 };

enum class CapacitySchedulerPolicy {
  kMAX_UTILIZATION = 0,
  kGUARANTEED_NO_EVICT = 1,
#if STAND_IN_1_2
  kSTATIC_BATCH = 2
#endif
};

enum class ContextChunkingPolicy { kFIRST_COME_FIRST_SERVED = 0, kEQUAL_PROGRESS = 1 };

enum class CommunicationType { kMPI = 0 };

enum class CommunicationMode { kLEADER, kORCHESTRATOR };

enum class RequestStage {
  kQUEUED,
  kENCODER_IN_PROGRESS,
  kCONTEXT_IN_PROGRESS,
  kGENERATION_IN_PROGRESS,
  kGENERATION_COMPLETE
};

enum class FinishReason {
  kNOT_FINISHED = 0,
  kEND_ID = 1,
  kSTOP_WORDS = 2,
  kLENGTH = 3,
#if STAND_IN_1_2
  kTIMED_OUT = 4,
  kCANCELLED = 5
#endif
};

#if STAND_IN_1_2
enum class KvCacheTransferMode { DRAM = 0, GDS = 1, POSIX_DEBUG_FALLBACK = 2 };
#endif

}  // namespace tensorrt_llm::executor

#include "tensorrt_llm/executor/parts/decoding_mode.h"
#include "tensorrt_llm/executor/parts/statistics.h"

#endif  // STAND_IN_TENSORRT_LLM_EXECUTOR_TYPES_H_
