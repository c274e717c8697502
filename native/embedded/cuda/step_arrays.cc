#include "native/embedded/cuda/step_arrays.h"

namespace embedded::cuda {

StepArrays::StepArrays(void* base, int token_count, int sequence_count) : bytes(0) {
  constexpr size_t kAlignment = 64;
  const auto take = [&](auto* pointer, int count) {
    auto* const part = base == nullptr ? nullptr : static_cast<uint8_t*>(base) + bytes;
    bytes += (sizeof(*pointer) * static_cast<size_t>(count) + kAlignment - 1) / kAlignment * kAlignment;
    return reinterpret_cast<decltype(pointer)>(part);
  };
  tokens = take(static_cast<int32_t*>(nullptr), token_count);
  newest_slots = take(static_cast<int32_t*>(nullptr), token_count);
  positions = take(static_cast<int32_t*>(nullptr), token_count);
  table_rows = take(static_cast<int32_t*>(nullptr), token_count);
  adapter_slots = take(static_cast<int32_t*>(nullptr), token_count);
  context_lengths = take(static_cast<int32_t*>(nullptr), sequence_count);
  logits_rows = take(static_cast<int32_t*>(nullptr), sequence_count);
  sampling = take(static_cast<SamplingRow*>(nullptr), sequence_count);
}

}  // namespace embedded::cuda
