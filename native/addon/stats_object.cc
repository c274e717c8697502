#include "native/addon/stats_object.h"

namespace addon {
namespace {

class NumberSetter {
 public:
  explicit NumberSetter(Napi::Env env) : object(Napi::Object::New(env)), env_(env) {}

  template <typename T>
  void operator()(const char* name, T value) {
    object[name] = Napi::Number::New(env_, static_cast<double>(value));
  }

  Napi::Object object;

 private:
  Napi::Env env_;
};

const char* NameOf(ExecutorStage stage) {
  switch (stage) {
    case STAGE_QUEUED:
      return "queued";
    case STAGE_CONTEXT:
      return "context";
    case STAGE_GENERATION:
      return "generation";
    case STAGE_COMPLETE:
      break;
  }
  return "complete";
}

Napi::Object RequestObject(Napi::Env env, const ExecutorRequestStats& request) {
  NumberSetter number(env);
  number("id", request.id);
  number.object["stage"] = Napi::String::New(env, NameOf(request.stage));
  number.object["isScheduled"] = Napi::Boolean::New(env, request.scheduled != 0);
  number.object["isPaused"] = Napi::Boolean::New(env, request.paused != 0);
  number("promptTokensComputed", request.prompt_tokens_computed);
  number("generatedTokens", request.generated_tokens);
  number("decodedTokensPerStep", request.decoded_tokens_per_step);
  number("kvBlocksAllocated", request.kv_blocks_allocated);
  number("kvBlocksReused", request.kv_blocks_reused);
  number("kvBlocksMissed", request.kv_blocks_missed);
  return number.object;
}

}  // namespace

Napi::Object StatsObject(Napi::Env env, const SessionStats& given, const SessionCounters& counters, uint64_t wakeups) {
  const ExecutorStats& stats = given.executor;
  NumberSetter number(env);
  number("activeRequests", stats.active_requests);
  number("queuedRequests", stats.queued_requests);
  number("completedRequests", stats.completed_requests);
  number("startedRequests", stats.new_active_requests);
  number("maxActiveRequests", stats.max_active_requests);
  number("steps", stats.steps);
  number("stepMs", stats.step_ms);
  number("queueMs", stats.queue_ms);
  number("maxBatchSize", stats.max_batch_size);
  number("maxNumTokens", stats.max_num_tokens);
  number("scheduledRequests", stats.scheduled_requests);
  number("contextRequests", stats.context_requests);
  number("generationRequests", stats.generation_requests);
  number("pausedRequests", stats.paused_requests);
  number("contextTokens", stats.context_tokens);
  number("microBatch", stats.micro_batch);
  number("decodedTokensPerStep", stats.decoded_tokens_per_step);
  number("draftTokens", stats.draft_tokens);
  number("draftTokensAccepted", stats.draft_tokens_accepted);
  number("draftMs", stats.draft_ms);
  number("preemptions", stats.preemptions);
  number("deviceMemoryBytes", stats.device_memory_bytes);
  number("hostMemoryBytes", stats.host_memory_bytes);
  number("pinnedMemoryBytes", stats.pinned_memory_bytes);
  number("kvBlocks", stats.kv_blocks);
  number("kvBlocksFree", stats.kv_blocks_free);
  number("kvBlocksUsed", stats.kv_blocks_used);
  number("tokensPerBlock", stats.tokens_per_block);
  number("kvBlocksAllocated", stats.kv_blocks_allocated);
  number("kvBlocksAllocatedNew", stats.kv_blocks_allocated_new);
  number("kvBlocksReused", stats.kv_blocks_reused);
  number("kvBlocksMissed", stats.kv_blocks_missed);
  const uint64_t looked_up = stats.kv_blocks_reused + stats.kv_blocks_missed;
  number("kvCacheHitRate",
         looked_up == 0 ? 0.0 : static_cast<double>(stats.kv_blocks_reused) / static_cast<double>(looked_up));
  auto requests = Napi::Array::New(env, given.requests.size());
  for (uint32_t i = 0; i < given.requests.size(); ++i) requests[i] = RequestObject(env, given.requests[i]);
  number.object["requests"] = requests;
  number("discardedTokens", counters.discarded_tokens);
  number("unknownRows", counters.unknown_rows);
  number("wakeups", wakeups);
  return number.object;
}

}  // namespace addon
