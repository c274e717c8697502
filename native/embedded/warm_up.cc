#include "native/embedded/warm_up.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "native/embedded/request.h"
#include "native/embedded/scheduler.h"

namespace embedded {
namespace {

constexpr int kTokens = 2;  // the prompt gives one, and a decode step the other

void Run(int prompt_tokens, float temperature, const Limits& limits, int vocab_size, ModelRunner* runner) {
  const int most_tokens = std::max(1, std::min(limits.max_input_len, limits.max_seq_len - kTokens));
  const std::vector<int32_t> prompt(static_cast<size_t>(std::min(prompt_tokens, most_tokens)), 0);
  ExecutorSampling sampling{};
  sampling.size = sizeof(sampling);
  sampling.set = SAMPLING_TEMPERATURE;
  sampling.temperature = temperature;
  ExecutorRequest given{};
  given.size = sizeof(given);
  given.tokens = prompt.data();
  given.token_count = static_cast<uint32_t>(prompt.size());
  given.max_tokens = kTokens;
  given.sampling = &sampling;
  const std::shared_ptr<Request> request = MakeRequest(given, limits, vocab_size);
  RequestSequence* const sequence = &request->sequences.front();
  Scheduler scheduler({limits.max_num_tokens, limits.max_batch_size},
                      BlockPool(runner->info().kv_blocks, runner->info().tokens_per_block));
  scheduler.Add(sequence);
  const std::atomic<bool> abandon{false};
  while (sequence->length() < sequence->max_length) {
    runner->Submit(scheduler.PlanStep(), abandon);
    runner->Collect();
    if (sequence->pending_tokens > 0) sequence->AddToken(0);
  }
}

}  // namespace

void WarmUp(const Limits& limits, int vocab_size, ModelRunner* runner) {
  // Devices have other kernels for long prompts than for short ones, and to draw than to take the likeliest.
  Run(16, 0, limits, vocab_size, runner);
  Run(1024, 1, limits, vocab_size, runner);
}

}  // namespace embedded
