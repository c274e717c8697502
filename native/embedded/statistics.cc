#include "native/embedded/statistics.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "native/embedded/process_memory.h"

namespace embedded {

namespace {

// An end id is a step without a token.
double TokensPerStep(size_t tokens, size_t steps) {
  return steps == 0 ? 1 : static_cast<double>(tokens) / static_cast<double>(steps);
}

bool IsPaused(const Request& request) { return request.started && !request.runs(); }

}  // namespace

size_t ActiveRequests(const Scheduler& scheduler) {
  size_t active = 0;
  const Request* previous = nullptr;
  for (const Sequence* sequence : scheduler.running()) {
    const Request* request = static_cast<const RequestSequence*>(sequence)->request;
    if (std::exchange(previous, request) != request) ++active;
  }
  return active;
}

void Statistics::CountPlanned(const Step& step, Request::Clock::time_point start) {
  uint64_t started = 0;
  double queue_ms = 0;
  totals_.scheduled_requests = totals_.context_requests = totals_.generation_requests = totals_.context_tokens = 0;
  scheduled_.clear();
  // A request's entries stand side by side; it counts once, or twice where a sequence that was preempted is computed
  // again beside one in decode.
  const Request *scheduled = nullptr, *in_context = nullptr, *in_generation = nullptr;
  for (const StepEntry& entry : step.entries) {
    Request* const request = SequenceOf(entry)->request;
    if (std::exchange(scheduled, request) != request) {
      ++totals_.scheduled_requests;
      scheduled_.push_back(request->id);
    }
    if (entry.tokens > 1 || entry.first < request->prompt_tokens) {
      if (std::exchange(in_context, request) != request) ++totals_.context_requests;
      totals_.context_tokens += static_cast<uint32_t>(entry.tokens);
    } else {
      if (std::exchange(in_generation, request) != request) ++totals_.generation_requests;
    }
    if (request->started) continue;
    request->started = start;
    ++started;
    queue_ms += std::chrono::duration<double, std::milli>(start - request->submitted).count();
  }
  totals_.new_active_requests += started;
  totals_.queue_ms = started > 0 ? queue_ms / static_cast<double>(started) : 0;
}

void Statistics::CountComputed(double ms) {
  ++totals_.steps;
  totals_.step_ms = ms;
  step_tokens_ = step_sequences_ = 0;
}

void Statistics::CountTokens(RequestSequence* sequence) {
  step_tokens_ += sequence->generated_tokens - std::exchange(sequence->counted_tokens, sequence->generated_tokens);
  ++step_sequences_;
  ++sequence->decode_steps;
}

void Statistics::CountDrafts(Request* request, size_t verified, size_t accepted) {
  request->draft_tokens += static_cast<uint32_t>(verified);
  request->draft_tokens_accepted += static_cast<uint32_t>(accepted);
  totals_.draft_tokens += verified;
  totals_.draft_tokens_accepted += accepted;
}

ExecutorStats Statistics::Snapshot(const Scheduler& scheduler, const Requests& requests, const ExecutorInfo& info,
                                   const RunnerInfo& runner, bool each_request) {
  const BlockPool& blocks = scheduler.blocks();
  ExecutorStats stats = totals_;
  stats.active_requests = static_cast<uint32_t>(ActiveRequests(scheduler));
  stats.queued_requests = static_cast<uint32_t>(requests.size()) - stats.active_requests;
  stats.max_active_requests = stats.max_batch_size = info.max_batch_size;
  stats.max_num_tokens = info.max_num_tokens;
  stats.device_memory_bytes = runner.device_memory_bytes;
  stats.host_memory_bytes = ResidentMemoryBytes();
  stats.pinned_memory_bytes = runner.pinned_memory_bytes;
  stats.kv_blocks = static_cast<uint32_t>(blocks.blocks());
  stats.kv_blocks_free = static_cast<uint32_t>(blocks.free_blocks());
  stats.kv_blocks_used = static_cast<uint32_t>(blocks.used_blocks());
  stats.tokens_per_block = info.tokens_per_block;
  stats.kv_blocks_allocated = blocks.allocations();
  stats.kv_blocks_allocated_new = blocks.allocations() - blocks.evictions();
  stats.kv_blocks_reused = scheduler.reused_blocks();
  stats.kv_blocks_missed = scheduler.missed_blocks();
  stats.decoded_tokens_per_step = TokensPerStep(step_tokens_, step_sequences_);
  stats.preemptions = scheduler.preemptions();
  if (stats.preemptions > 0)
    for (const auto& [id, request] : requests) stats.paused_requests += IsPaused(*request);
  each_request_.clear();
  if (each_request)
    for (const auto& [id, request] : requests) each_request_.push_back(OfRequest(*request));
  stats.request_count = static_cast<uint32_t>(each_request_.size());
  stats.requests = each_request_.data();
  return stats;
}

ExecutorRequestStats Statistics::OfRequest(const Request& request) const {
  ExecutorRequestStats stats{};
  stats.id = request.id;
  const size_t computed = request.sequences.front().computed_tokens;
  const bool runs = request.runs();
  stats.stage = !runs ? STAGE_QUEUED : computed < request.prompt_tokens ? STAGE_CONTEXT : STAGE_GENERATION;
  stats.prompt_tokens_computed = static_cast<uint32_t>(std::min(computed, request.prompt_tokens));
  size_t tokens = 0, steps = 0;
  for (const RequestSequence& sequence : request.sequences) {
    tokens += sequence.generated_tokens;
    steps += sequence.decode_steps;
  }
  stats.generated_tokens = static_cast<uint32_t>(tokens);
  stats.scheduled = std::find(scheduled_.begin(), scheduled_.end(), request.id) != scheduled_.end();
  stats.paused = IsPaused(request);
  stats.kv_blocks_allocated = request.allocated_blocks();
  stats.kv_blocks_reused = static_cast<uint32_t>(request.sequences.front().reused_blocks);
  stats.kv_blocks_missed = static_cast<uint32_t>(request.sequences.front().missed_blocks);
  stats.decoded_tokens_per_step = TokensPerStep(tokens, steps);
  return stats;
}

}  // namespace embedded
