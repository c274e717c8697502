#ifndef STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_STATISTICS_H_
#define STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_STATISTICS_H_

#include "tensorrt_llm/executor/types.h"

namespace tensorrt_llm::executor {

struct KvCacheStats {
  SizeType32 maxNumBlocks;
  SizeType32 freeNumBlocks;
  SizeType32 usedNumBlocks;
  SizeType32 tokensPerBlock;
  SizeType32 allocTotalBlocks;
  SizeType32 allocNewBlocks;
  SizeType32 reusedBlocks;
#if STAND_IN_1_2
  SizeType32 missedBlocks;
  float cacheHitRate;
#endif
};

struct StaticBatchingStats {
  SizeType32 numScheduledRequests;
  SizeType32 numContextRequests;
  SizeType32 numCtxTokens;
  SizeType32 numGenTokens;
  SizeType32 emptyGenSlots;
};

struct InflightBatchingStats {
  SizeType32 numScheduledRequests;
  SizeType32 numContextRequests;
  SizeType32 numGenRequests;
  SizeType32 numPausedRequests;
  SizeType32 numCtxTokens;
  SizeType32 microBatchId;
  float avgNumDecodedTokensPerIter;
};

#if STAND_IN_1_2
struct SpecDecodingStats {
  SizeType64 numDraftTokens;
  SizeType64 numAcceptedTokens;
  SizeType64 numRequestsWithDraftTokens;
  double acceptanceLength;
  double iterLatencyMS;
  double draftOverhead;
};
#endif

struct IterationStats {
  std::string timestamp;
  IterationType iter;
  double iterLatencyMS;
  double newActiveRequestsQueueLatencyMS;
#if STAND_IN_1_2
  SizeType32 numNewActiveRequests;
#endif
  SizeType32 numActiveRequests;
  SizeType32 numQueuedRequests;
  SizeType32 numCompletedRequests;
  SizeType32 maxNumActiveRequests;
#if STAND_IN_1_2
  SizeType32 maxBatchSizeStatic;
  SizeType32 maxBatchSizeTunerRecommended;
  SizeType32 maxBatchSizeRuntime;
  SizeType32 maxNumTokensStatic;
  SizeType32 maxNumTokensTunerRecommended;
  SizeType32 maxNumTokensRuntime;
#endif
  size_t gpuMemUsage;
  size_t cpuMemUsage;
  size_t pinnedMemUsage;
  std::optional<KvCacheStats> kvCacheStats;
  std::optional<KvCacheStats> crossKvCacheStats;
  std::optional<StaticBatchingStats> staticBatchingStats;
  std::optional<InflightBatchingStats> inflightBatchingStats;
#if STAND_IN_1_2
  std::optional<SpecDecodingStats> specDecodingStats;
#endif
};

#if STAND_IN_1_2
struct DisServingRequestStats {
  double kvCacheTransferMS;
  size_t kvCacheSize;
};
#endif

struct RequestStats {
  IdType id;
  RequestStage stage;
  SizeType32 contextPrefillPosition;
  SizeType32 numGeneratedTokens;
  float avgNumDecodedTokensPerIter;
  bool scheduled;
  bool paused;
#if STAND_IN_1_2
  std::optional<DisServingRequestStats> disServingStats;
  SizeType32 allocTotalBlocksPerRequest;
  SizeType32 allocNewBlocksPerRequest;
  SizeType32 reusedBlocksPerRequest;
  SizeType32 missedBlocksPerRequest;
  FloatType kvCacheHitRatePerRequest;
#endif
};

struct RequestStatsPerIteration {
  IterationType iter;
  std::vector<RequestStats> requestStats;
};

#if STAND_IN_1_2
struct RequestPerfMetrics {
  using TimePoint = std::chrono::time_point<std::chrono::steady_clock>;

  struct TimingMetrics {
    TimePoint arrivalTime;
    TimePoint firstScheduledTime;
    TimePoint firstTokenTime;
    TimePoint lastTokenTime;
    TimePoint kvCacheTransferStart;
    TimePoint kvCacheTransferEnd;
    mutable size_t kvCacheSize = 0;
  };

  struct KvCacheMetrics {
    SizeType32 numTotalAllocatedBlocks{0};
    SizeType32 numNewAllocatedBlocks{0};
    SizeType32 numReusedBlocks{0};
    SizeType32 numMissedBlocks{0};
    FloatType kvCacheHitRate{0.f};
  };

  struct SpeculativeDecodingMetrics {
    FloatType acceptanceRate{0.f};
    SizeType32 totalAcceptedDraftTokens{0};
    SizeType32 totalDraftTokens{0};
  };

  TimingMetrics timingMetrics;
  KvCacheMetrics kvCacheMetrics;
  SpeculativeDecodingMetrics speculativeDecoding;

  std::optional<IterationType> firstIter;
  std::optional<IterationType> lastIter;
  std::optional<IterationType> iter;
};
#endif

}  // namespace tensorrt_llm::executor

#endif  // STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_STATISTICS_H_
