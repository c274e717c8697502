#include "native/embedded/cuda/prompt_output.h"

#include <algorithm>
#include <limits>
#include <memory>

#include "native/executor/cpp/batch_row.h"
#include "native/executor/cpp/logprobs.h"

namespace embedded::cuda {

void PreparePromptOutput(Request* request, size_t vocab_size) {
  if (request->prompt_output == nullptr) request->prompt_output = std::make_shared<executor::BatchRowDetails>();
  executor::BatchRowDetails& out = *request->prompt_output;
  constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
  const size_t top_count = static_cast<size_t>(request->prompt_top_logprobs);
  if (request->wants_context_logits) out.context_logits.resize(request->prompt_tokens * vocab_size);
  if (!request->wants_prompt_logprobs) return;
  out.prompt_logprobs.resize(request->prompt_tokens, kNone);
  out.prompt_top_tokens.resize(request->prompt_tokens * top_count, -1);
  out.prompt_top_logprobs.resize(request->prompt_tokens * top_count, kNone);
}

void NotePromptLogits(const RequestSequence& sequence, size_t first, size_t count, const float* logits,
                      size_t vocab_size) {
  const Request& request = *sequence.request;
  executor::BatchRowDetails& out = *request.prompt_output;
  const size_t top_count = static_cast<size_t>(request.prompt_top_logprobs);
  if (request.wants_context_logits)
    std::copy_n(logits, count * vocab_size, out.context_logits.data() + first * vocab_size);
  if (!request.wants_prompt_logprobs) return;
  std::vector<executor::TokenLogprob> scratch;
  for (size_t i = 0; i < count; ++i) {
    const size_t next = first + i + 1;  // the token that these logits are about
    if (next >= request.prompt_tokens) return;
    if (next < request.prompt_logprobs_start) continue;
    const float* const row = logits + i * vocab_size;
    const double log_sum = executor::LogSumExp(row, static_cast<int>(vocab_size));
    out.prompt_logprobs[next] = static_cast<float>(row[sequence.tokens[next]] - log_sum);
    if (top_count == 0) continue;
    const std::vector<executor::TokenLogprob> top =
        executor::TopLogprobs(row, static_cast<int>(vocab_size), static_cast<uint32_t>(top_count), log_sum, &scratch);
    for (size_t j = 0; j < top_count; ++j) {
      out.prompt_top_tokens[next * top_count + j] = top[j].token;
      out.prompt_top_logprobs[next * top_count + j] = top[j].logprob;
    }
  }
}

}  // namespace embedded::cuda
