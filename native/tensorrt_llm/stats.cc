#include "native/tensorrt_llm/stats.h"

#include <algorithm>

namespace adapter {
namespace {

uint32_t Count(tle::SizeType32 value) { return static_cast<uint32_t>(value); }

ExecutorStage StageOf(tle::RequestStage stage) {
  switch (stage) {
    case tle::RequestStage::kQUEUED:
      return STAGE_QUEUED;
    case tle::RequestStage::kENCODER_IN_PROGRESS:
    case tle::RequestStage::kCONTEXT_IN_PROGRESS:
      return STAGE_CONTEXT;
    case tle::RequestStage::kGENERATION_IN_PROGRESS:
      return STAGE_GENERATION;
    case tle::RequestStage::kGENERATION_COMPLETE:
      break;
  }
  return STAGE_COMPLETE;
}

ExecutorRequestStats StatsOf(const tle::RequestStats& given, uint64_t id) {
  ExecutorRequestStats stats{};
  stats.id = id;
  stats.stage = StageOf(given.stage);
  stats.prompt_tokens_computed = Count(given.contextPrefillPosition);
  stats.generated_tokens = Count(given.numGeneratedTokens);
  stats.scheduled = given.scheduled;
  stats.paused = given.paused;
  stats.decoded_tokens_per_step = given.avgNumDecodedTokensPerIter;
  IfHas(given, [&](const auto& g) -> decltype(void(g.allocTotalBlocksPerRequest)) {
    stats.kv_blocks_allocated = Count(g.allocTotalBlocksPerRequest);
    stats.kv_blocks_reused = Count(g.reusedBlocksPerRequest);
    stats.kv_blocks_missed = Count(g.missedBlocksPerRequest);
  });
  return stats;
}

}  // namespace

void Stats::AddIteration(const tle::IterationStats& iteration) {
  // An iteration counts the steps before the one it starts. That one counts too: its responses may be here before the next
  // iteration is told. Where nothing is active none starts.
  const uint64_t steps = iteration.iter + (iteration.numActiveRequests > 0 ? 1 : 0);
  newest_.steps = std::max(newest_.steps, steps);
  if (iteration.iterLatencyMS > 0) newest_.step_ms = iteration.iterLatencyMS;  // the last before a rest has none
  newest_.queue_ms = iteration.newActiveRequestsQueueLatencyMS;
  newest_.max_active_requests = Count(iteration.maxNumActiveRequests);
  IfHas(iteration, [&](const auto& i) -> decltype(void(i.numNewActiveRequests)) {
    // It is the sum of their waits.
    if (i.numNewActiveRequests > 0) newest_.queue_ms /= i.numNewActiveRequests;
  });
  IfHas(iteration, [&](const auto& i) -> decltype(void(i.maxBatchSizeRuntime)) {
    newest_.max_batch_size = Count(i.maxBatchSizeRuntime);
  });
  IfHas(iteration, [&](const auto& i) -> decltype(void(i.maxNumTokensRuntime)) {
    newest_.max_num_tokens = Count(i.maxNumTokensRuntime);
  });
  newest_.device_memory_bytes = iteration.gpuMemUsage;
  newest_.host_memory_bytes = iteration.cpuMemUsage;
  newest_.pinned_memory_bytes = iteration.pinnedMemUsage;
  if (iteration.kvCacheStats) {
    const tle::KvCacheStats& kv = *iteration.kvCacheStats;
    newest_.kv_blocks = Count(kv.maxNumBlocks);
    newest_.kv_blocks_free = Count(kv.freeNumBlocks);
    newest_.kv_blocks_used = Count(kv.usedNumBlocks);
    newest_.tokens_per_block = Count(kv.tokensPerBlock);
    newest_.kv_blocks_allocated = Count(kv.allocTotalBlocks);
    newest_.kv_blocks_allocated_new = Count(kv.allocNewBlocks);
    newest_.kv_blocks_reused = Count(kv.reusedBlocks);
    IfHas(kv,
          [&](const auto& k) -> decltype(void(k.missedBlocks)) { newest_.kv_blocks_missed = Count(k.missedBlocks); });
  }
  if (iteration.inflightBatchingStats) {
    const tle::InflightBatchingStats& batch = *iteration.inflightBatchingStats;
    newest_.scheduled_requests = Count(batch.numScheduledRequests);
    newest_.context_requests = Count(batch.numContextRequests);
    newest_.generation_requests = Count(batch.numGenRequests);
    newest_.paused_requests = Count(batch.numPausedRequests);
    newest_.preemptions += Count(batch.numPausedRequests);
    newest_.context_tokens = Count(batch.numCtxTokens);
    newest_.micro_batch = Count(batch.microBatchId);
    newest_.decoded_tokens_per_step = batch.avgNumDecodedTokensPerIter;
  }
  IfHas(iteration, [&](const auto& i) -> decltype(void(i.specDecodingStats)) {
    if (!i.specDecodingStats) return;
    newest_.draft_tokens += static_cast<uint64_t>(i.specDecodingStats->numDraftTokens);
    newest_.draft_tokens_accepted += static_cast<uint64_t>(i.specDecodingStats->numAcceptedTokens);
    newest_.draft_ms = i.specDecodingStats->iterLatencyMS;
  });
}

ExecutorStats Stats::Read(tle::Executor* engine, Ids* ids, uint64_t completed_requests) {
  for (const tle::IterationStats& iteration : engine->getLatestIterationStats()) AddIteration(iteration);
  const auto iterations = engine->getLatestRequestStats();
  if (!iterations.empty()) {
    requests_.clear();
    for (const tle::RequestStats& request : iterations.back().requestStats)
      if (const Pending* pending = ids->FindLibraryId(request.id)) requests_.push_back(StatsOf(request, pending->id));
  }
  // The engine counts sequences, cancelled ones that wait, and when it has nothing to do no more at all.
  newest_.active_requests = static_cast<uint32_t>(ids->active());
  newest_.queued_requests = static_cast<uint32_t>(ids->CountQueued());
  if (ids->size() == 0) {
    newest_.kv_blocks_used = 0;  // what is kept for reuse counts as free
    newest_.kv_blocks_free = newest_.kv_blocks;
    requests_.clear();
  }
  newest_.completed_requests = completed_requests;
  newest_.new_active_requests = completed_requests + newest_.active_requests;
  newest_.request_count = static_cast<uint32_t>(requests_.size());
  newest_.requests = requests_.data();
  return newest_;
}

}  // namespace adapter
