// What the adapter remembers of a request until its last row.
#ifndef ADAPTER_PENDING_H_
#define ADAPTER_PENDING_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace adapter {

struct PendingSequence {
  size_t tokens = 0;                  // given in rows
  std::optional<int32_t> stop_token;  // one of end_ids has come
  bool ended = false;
};

struct Pending {
  using Clock = std::chrono::steady_clock;

  uint64_t id;
  uint64_t library_id = 0;  // TensorRT-LLM's own
  uint32_t prompt_tokens;
  std::vector<int32_t> prompt;  // where prompt logprobs are asked for
  size_t max_tokens;
  bool streaming;
  bool replaces_tokens;  // beam search: each row has all of a beam's tokens
  std::vector<int32_t> end_ids;
  bool logprobs;
  bool context_logits;
  bool generation_logits;
  uint32_t top_logprobs;
  bool prompt_logprobs;
  uint32_t top_prompt_logprobs;
  uint32_t prompt_logprobs_start;
  std::vector<PendingSequence> sequences;
  // How many ids TensorRT-LLM has counted for it: it makes every sequence but the first a request of its own.
  uint32_t library_ids;

  bool cancelled = false;
  bool has_row = false;
  bool has_prompt_output = false;
  Clock::time_point submitted = Clock::now();
  std::optional<Clock::time_point> placed;  // no longer waits for others to end
  std::optional<Clock::time_point> first_token;
  std::optional<Clock::time_point> last_token;
};

}  // namespace adapter

#endif  // ADAPTER_PENDING_H_
