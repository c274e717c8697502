// Which features the version of TensorRT-LLM has that this is compiled for, found by whether a use of them compiles. There is
// no version macro, and the last constructor arguments differ between versions, so new members are set by setters.
#ifndef ADAPTER_FEATURES_H_
#define ADAPTER_FEATURES_H_

#include <tensorrt_llm/executor/executor.h>
#include <tensorrt_llm/executor/version.h>

#include <string>
#include <type_traits>
#include <utility>

#include "native/executor/cpp/failure.h"

// Types that some versions lack. There they stay incomplete, so only templates may use them.
namespace tensorrt_llm::executor {
class CacheTransceiverConfig;
class DynamicBatchConfig;
struct EagleConfig;
class GuidedDecodingConfig;
class GuidedDecodingParams;
class KvCacheRetentionConfig;
enum class KvCacheTransferMode;
class MropeConfig;
class MultimodalInput;
class SpeculativeDecodingConfig;
}  // namespace tensorrt_llm::executor

namespace adapter {

namespace tle = tensorrt_llm::executor;

template <typename T, typename = void>
inline constexpr bool kIsComplete = false;
template <typename T>
inline constexpr bool kIsComplete<T, std::void_t<decltype(sizeof(T))>> = true;

template <typename, typename T, typename... Arguments>
inline constexpr bool kCanMakeFrom = false;
template <typename T, typename... Arguments>
inline constexpr bool kCanMakeFrom<std::void_t<decltype(T(std::declval<Arguments>()...))>, T, Arguments...> = true;
// std::is_constructible for a T that may be incomplete.
template <typename T, typename... Arguments>
inline constexpr bool kCanMake = kCanMakeFrom<void, T, Arguments...>;

// Whether `use`, a generic lambda whose return type is the decltype of what it does, compiles for a T.
template <typename T, typename Use>
constexpr bool Has(Use) {
  return std::is_invocable_v<Use, T&>;
}

// Runs use(object) where it compiles, and says whether it did.
template <typename T, typename Use>
bool IfHas(T& object, Use use) {
  if constexpr (std::is_invocable_v<Use, T&>) use(object);
  return std::is_invocable_v<Use, T&>;
}

// A field of the contract, and the first version of TensorRT-LLM that has it.
struct Since {
  const char* field;
  const char* version;
  const char* value = "";  // where the version lacks one value of the field only: "'static-batch'"
};

[[noreturn]] inline void ThrowLacks(const Since& since) {
  const std::string found =
      *since.value == 0 ? " is set; expected it unset" : std::string(" is ") + since.value + "; expected another value";
  throw executor::OptionFailure(EXECUTOR_UNSUPPORTED, since.field,
                                found + ", because TensorRT-LLM " + tle::kTensorRtLlmVersion + " does not have it; " +
                                    since.version + " and newer do. Remove it, or install a newer version.");
}

// Runs use(object), or refuses the field where this version has no such thing.
template <typename T, typename Use>
void Need(T& object, const Since& since, Use use) {
  if (!IfHas(object, use)) ThrowLacks(since);
}

}  // namespace adapter

#endif  // ADAPTER_FEATURES_H_
