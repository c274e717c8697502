#ifndef STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_DECODING_MODE_H_
#define STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_DECODING_MODE_H_

#include "tensorrt_llm/executor/types.h"

namespace tensorrt_llm::executor {

// A client names a mode; what the real one packs into its bits is not its business, and not declared here.
class DecodingMode {
 public:
  static auto constexpr Auto() { return DecodingMode{1u << 0}; }
  static auto constexpr TopK() { return DecodingMode{1u << 1}; }
  static auto constexpr TopP() { return DecodingMode{1u << 2}; }
  static auto constexpr TopKTopP() { return DecodingMode{1u << 1 | 1u << 2}; }
  static auto constexpr BeamSearch() { return DecodingMode{1u << 3}; }
  static auto constexpr Medusa() { return DecodingMode{1u << 4}; }
  static auto constexpr Lookahead() { return DecodingMode{1u << 5}; }
  static auto constexpr ExplicitDraftTokens() { return DecodingMode{1u << 6}; }
#if STAND_IN_1_2
  static auto constexpr ExternalDraftTokens() { return DecodingMode{1u << 7}; }
  static auto constexpr Eagle() { return DecodingMode{1u << 8}; }
#endif

  using UnderlyingType = uint32_t;

  bool operator==(DecodingMode const& other) const { return state_ == other.state_; }
  explicit constexpr DecodingMode(UnderlyingType state) : state_(state) {}
  [[nodiscard]] constexpr UnderlyingType getState() const { return state_; }

 private:
  UnderlyingType state_;
};

}  // namespace tensorrt_llm::executor

#endif  // STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_DECODING_MODE_H_
