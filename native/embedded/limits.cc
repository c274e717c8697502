#include "native/embedded/limits.h"

#include <algorithm>
#include <string>

#include "native/embedded/adapter.h"
#include "native/embedded/refuse.h"
#include "native/executor/cpp/copy_sized.h"

namespace embedded {
namespace {

using executor::Failure;

constexpr uint32_t kLargestNumTokens = 1 << 16;
constexpr uint32_t kMostDraftTokens = 64;
constexpr size_t kDefaultDraftModelTokens = 4;

struct Field {
  uint32_t bit;
  const char* name;
};

template <size_t count>
void RefuseSet(uint32_t set, const std::string& group, const Field (&fields)[count]) {
  for (const Field& field : fields)
    if (set & field.bit) RefuseOption(group + field.name);
}

// Each rank's GPU may be chosen; the other options are for ranks in other processes.
void RefuseParallel(const ExecutorParallelConfig& parallel, int ranks) {
  RefuseSet(parallel.set, "parallel.",
            {{PARALLEL_MODE, "mode"}, {PARALLEL_NODES, "nodes"}, {PARALLEL_SPAWN, "spawn_processes"}});
  if (parallel.participant_id_count > 0) RefuseOption("parallel.participant_ids");
  if (parallel.worker_path != nullptr) RefuseOption("parallel.worker_path");
  if (parallel.device_id_count > 0 && parallel.device_id_count != static_cast<uint32_t>(ranks))
    throw executor::OptionFailure(EXECUTOR_INVALID_OPTION, "parallel.device_ids",
                                  " has " + std::to_string(parallel.device_id_count) +
                                      (parallel.device_id_count == 1 ? " id" : " ids") + "; expected " +
                                      std::to_string(ranks) + ", because the engine has " + std::to_string(ranks) +
                                      (ranks == 1 ? " rank." : " ranks."));
}

void RefuseOffload(const ExecutorKvCacheConfig& kv) {
  const auto refuse = [](const char* field, const std::string& value) {
    throw executor::OptionFailure(EXECUTOR_UNSUPPORTED, field,
                                  " is " + value +
                                      "; expected it unset, because with the executor 'cpu' all blocks are in host "
                                      "memory, as many as kvCache.maxTokens says; only 'cuda' and 'tensorrt-llm' move "
                                      "blocks there. Remove it.");
  };
  if (kv.set & KV_CACHE_HOST_BYTES && kv.host_bytes > 0) refuse("kv_cache.host_bytes", std::to_string(kv.host_bytes));
  if (kv.set & KV_CACHE_ONBOARD_BLOCKS) refuse("kv_cache.onboard_blocks", kv.onboard_blocks != 0 ? "true" : "false");
  if (kv.set & KV_CACHE_OFFLOAD_MIN_PRIORITY)
    refuse("kv_cache.offload_min_priority", std::to_string(kv.offload_min_priority));
}

void RefuseUnsupported(const ExecutorConfig& config, const DeviceDefaults& defaults, int ranks) {
  RefuseSet(config.set, "",
            {{CONFIG_GPU_WEIGHTS_FRACTION, "gpu_weights_fraction"},
             {CONFIG_RECEIVE_POLL_PERIOD, "receive_poll_period_ms"},
             {CONFIG_MAX_SEQUENCE_IDLE, "max_sequence_idle_ms"},
             {CONFIG_NORMALIZE_LOGPROBS, "normalize_logprobs"},
             {CONFIG_FAIL_FAST_ON_ATTENTION_WINDOW, "fail_fast_on_attention_window"}});
  if (config.set & CONFIG_CHUNKED_CONTEXT && config.chunked_context == 0)
    RefuseValue("chunked_context", "false", "true");
  if (config.additional_output_count > 0) RefuseOption("additional_outputs");
  if (config.parallel != nullptr) {
    if (!defaults.takes_device_ids) RefuseOption("parallel");
    RefuseParallel(executor::CopySized(config.parallel), ranks);
  }
  for (const auto& [given, name] : {std::make_pair(static_cast<const void*>(config.perf), "perf"),
                                    std::make_pair(static_cast<const void*>(config.perf), "perf"),
                                    std::make_pair(static_cast<const void*>(config.transceiver), "transceiver")})
    if (given != nullptr) RefuseOption(name);

  const ExecutorSchedulerConfig scheduler = executor::CopySized(config.scheduler);
  if (scheduler.set & SCHEDULER_CAPACITY_POLICY && scheduler.capacity_policy != CAPACITY_MAX_UTILIZATION)
    RefuseValue("scheduler.capacity_policy", "set", "'max-utilization'");
  if (scheduler.set & SCHEDULER_CHUNKING_POLICY && scheduler.chunking_policy != CHUNKING_FIRST_COME_FIRST_SERVED)
    RefuseValue("scheduler.chunking_policy", "set", "'first-come-first-served'");
  RefuseSet(scheduler.set, "scheduler.",
            {{SCHEDULER_BATCH_SIZE_TUNING, "batch_size_tuning"},
             {SCHEDULER_MAX_NUM_TOKENS_TUNING, "max_num_tokens_tuning"},
             {SCHEDULER_MOVING_AVERAGE_WINDOW, "moving_average_window"}});

  if (scheduler.batch_size_table_count > 0) RefuseOption("scheduler.batch_size_table");

  const ExecutorKvCacheConfig kv = executor::CopySized(config.kv_cache);
  RefuseSet(kv.set, "kv_cache.",
            {{KV_CACHE_SINK_TOKENS, "sink_tokens"},
             {KV_CACHE_CROSS_FRACTION, "cross_fraction"},
             {KV_CACHE_UVM, "uvm"},
             {KV_CACHE_EVENTS_GATHER_PERIOD, "events_gather_period_ms"}});
  if (kv.max_attention_window_count > 0) RefuseOption("kv_cache.max_attention_windows");
  if (!defaults.has_own_memory) RefuseOffload(kv);
  if (kv.set & KV_CACHE_ONBOARD_BLOCKS && kv.onboard_blocks == 0)
    RefuseValue("kv_cache.onboard_blocks", "false", "true");
}

// Of the decoding modes, drafts need none.
void RefuseDecoding(const ExecutorDecodingConfig& decoding) {
  if (decoding.mode != DECODING_AUTO && decoding.mode != DECODING_EXTERNAL_DRAFT_TOKENS) RefuseOption("decoding.mode");
  if (decoding.lookahead != nullptr) RefuseOption("decoding.lookahead");
  if (decoding.eagle != nullptr) RefuseOption("decoding.eagle");
  if (decoding.medusa_choices.count > 0) RefuseOption("decoding.medusa_choices");
  if (decoding.fast_logits != 0) RefuseOption("decoding.fast_logits");
}

size_t CheckedDraftTokens(const char* field, uint32_t value, size_t least) {
  if (value < least || value > kMostDraftTokens)
    throw executor::OptionFailure(EXECUTOR_INVALID_OPTION, field,
                                  " is " + std::to_string(value) + "; expected a whole number from " +
                                      std::to_string(least) + " to " + std::to_string(kMostDraftTokens) + ".");
  return value;
}

std::optional<PromptLookupLimits> ResolvePromptLookup(const ExecutorPromptLookup* config) {
  if (config == nullptr) return std::nullopt;
  const ExecutorPromptLookup given = executor::CopySized(config);
  PromptLookupLimits limits;
  if (given.set & PROMPT_LOOKUP_MAX_DRAFT_TOKENS)
    limits.max_draft_tokens = CheckedDraftTokens("decoding.prompt_lookup.max_draft_tokens", given.max_draft_tokens, 1);
  if (given.set & PROMPT_LOOKUP_MAX_MATCHING_NGRAM)
    limits.max_matching_ngram =
        CheckedDraftTokens("decoding.prompt_lookup.max_matching_ngram", given.max_matching_ngram, kLeastMatchingNgram);
  return limits;
}

size_t ResolveDraftTokens(const ExecutorDraftModel* config) {
  if (config == nullptr) return 0;
  const ExecutorDraftModel given = executor::CopySized(config);
  if (!(given.set & DRAFT_MODEL_MAX_DRAFT_TOKENS)) return kDefaultDraftModelTokens;
  return CheckedDraftTokens("decoding.draft_model.max_draft_tokens", given.max_draft_tokens, 1);
}

AdapterLimits ResolveAdapters(const ExecutorPeftCacheConfig& peft, const DeviceDefaults& defaults) {
  RefuseSet(peft.set, "peft_cache.",
            {{PEFT_HOST_MODULE_LAYERS, "host_module_layers"},
             {PEFT_DEVICE_MODULE_LAYERS, "device_module_layers"},
             {PEFT_OPTIMAL_ADAPTER_SIZE, "optimal_adapter_size"},
             {PEFT_PUT_WORKERS, "put_workers"},
             {PEFT_ENSURE_WORKERS, "ensure_workers"},
             {PEFT_COPY_STREAMS, "copy_streams"},
             {PEFT_HOST_PAGES_PER_BLOCK, "host_pages_per_block"},
             {PEFT_DEVICE_PAGES_PER_BLOCK, "device_pages_per_block"}});
  if (peft.lora_prefetch_dir != nullptr) RefuseOption("peft_cache.lora_prefetch_dir");
  if (peft.set & PEFT_DEVICE_CACHE_FRACTION && !defaults.has_own_memory)
    RefuseOption("peft_cache.device_cache_fraction");
  AdapterLimits limits{64, uint64_t{1} << 30, 0.02};  // TensorRT-LLM's defaults
  if (peft.set & PEFT_MAX_ADAPTER_SIZE) {
    if (peft.max_adapter_size < 1 || peft.max_adapter_size > static_cast<uint32_t>(kLargestLoraRank))
      throw executor::OptionFailure(
          EXECUTOR_INVALID_OPTION, "peft_cache.max_adapter_size",
          " is " + std::to_string(peft.max_adapter_size) + "; expected 1 to " + std::to_string(kLargestLoraRank) + ".");
    limits.max_rank = static_cast<int>(peft.max_adapter_size);
  }
  if (peft.set & PEFT_HOST_CACHE_BYTES) limits.host_bytes = peft.host_cache_bytes;
  if (peft.set & PEFT_DEVICE_CACHE_FRACTION) {
    if (!(peft.device_cache_fraction > 0 && peft.device_cache_fraction <= 1))
      throw executor::OptionFailure(
          EXECUTOR_INVALID_OPTION, "peft_cache.device_cache_fraction",
          " is " + std::to_string(peft.device_cache_fraction) + "; expected a number above 0 and at most 1.");
    limits.device_fraction = peft.device_cache_fraction;
  }
  return limits;
}

}  // namespace

int ResolveSize(const ExecutorConfig& config, uint32_t bit, const char* name, uint32_t value, uint32_t largest,
                int otherwise) {
  if (!(config.set & bit)) return otherwise;
  if (value < 1 || value > largest)
    throw executor::OptionFailure(
        EXECUTOR_INVALID_OPTION, name,
        " is " + std::to_string(value) + "; expected a whole number from 1 to " + std::to_string(largest) + ".");
  return static_cast<int>(value);
}

Limits ResolveLimits(const ExecutorConfig& config, const EngineConfig& engine, const DeviceDefaults& defaults) {
  RefuseUnsupported(config, defaults, engine.model.ranks());
  if (config.set & CONFIG_TENSOR_PARALLEL_SIZE &&
      config.tensor_parallel_size != static_cast<uint32_t>(engine.model.tp_size))
    throw executor::OptionFailure(EXECUTOR_INVALID_OPTION, "tensor_parallel_size",
                                  " is " + std::to_string(config.tensor_parallel_size) + "; expected " +
                                      std::to_string(engine.model.tp_size) +
                                      ", as many as the engine was split into. Remove it.");
  Limits limits{};
  limits.max_seq_len = ResolveSize(config, CONFIG_MAX_SEQ_LEN, "max_seq_len", config.max_seq_len,
                                   static_cast<uint32_t>(engine.build.max_seq_len), engine.build.max_seq_len);
  limits.max_input_len = std::min(engine.build.max_input_len, limits.max_seq_len);
  const int planned_tokens = std::min(engine.build.max_num_tokens, defaults.max_num_tokens);
  limits.max_num_tokens = ResolveSize(config, CONFIG_MAX_NUM_TOKENS, "max_num_tokens", config.max_num_tokens,
                                      kLargestNumTokens, planned_tokens);
  limits.max_batch_size =
      ResolveSize(config, CONFIG_MAX_BATCH_SIZE, "max_batch_size", config.max_batch_size, kLargestNumTokens,
                  std::min({engine.build.max_batch_size, defaults.max_batch_size, limits.max_num_tokens}));
  if (limits.max_num_tokens < limits.max_batch_size) {
    if (config.set & CONFIG_MAX_NUM_TOKENS)
      throw executor::OptionFailure(EXECUTOR_INVALID_OPTION, "max_num_tokens",
                                    " is " + std::to_string(limits.max_num_tokens) +
                                        "; expected at least maxBatchSize, " + std::to_string(limits.max_batch_size) +
                                        ", because each sequence of a step needs room for one token.");
    limits.max_num_tokens = limits.max_batch_size;
  }
  // Two candidates a beam at least. What an engine says is about TensorRT-LLM alone.
  const int most_beams = std::min(limits.max_batch_size, kMaxBeamCandidates / 2);
  limits.max_beam_width = ResolveSize(config, CONFIG_MAX_BEAM_WIDTH, "max_beam_width", config.max_beam_width,
                                      static_cast<uint32_t>(most_beams), most_beams);
  if (config.set & CONFIG_MAX_QUEUE_SIZE) limits.max_queue_size = config.max_queue_size;
  const ExecutorKvCacheConfig kv = executor::CopySized(config.kv_cache);
  limits.reuses_blocks = !(kv.set & KV_CACHE_BLOCK_REUSE) || kv.block_reuse != 0;
  limits.block_pool.reuses_parts = !(kv.set & KV_CACHE_PARTIAL_REUSE) || kv.partial_reuse != 0;
  limits.block_pool.copies_parts = !(kv.set & KV_CACHE_COPY_ON_PARTIAL_REUSE) || kv.copy_on_partial_reuse != 0;
  if (kv.set & KV_CACHE_DTYPE) limits.kv_dtype = kv.dtype;
  if (kv.set & KV_CACHE_HOST_BYTES) limits.kv_host_bytes = kv.host_bytes;
  if (kv.set & KV_CACHE_EVENT_BUFFER) limits.event_buffer_size = kv.event_buffer_size;
  if (kv.set & KV_CACHE_OFFLOAD_MIN_PRIORITY) {
    if (kv.offload_min_priority > kHighestPriority)
      throw executor::OptionFailure(EXECUTOR_INVALID_OPTION, "kv_cache.offload_min_priority",
                                    " is " + std::to_string(kv.offload_min_priority) + "; expected 0 to 100.");
    limits.block_pool.offload_min_priority = static_cast<int>(kv.offload_min_priority);
  }
  limits.is_guided = config.guided_decoding != nullptr;
  const ExecutorDecodingConfig decoding = executor::CopySized(config.decoding);
  RefuseDecoding(decoding);
  limits.prompt_lookup = ResolvePromptLookup(decoding.prompt_lookup);
  limits.draft_model_tokens = ResolveDraftTokens(decoding.draft_model);
  const size_t most_drafts =
      std::max(limits.draft_model_tokens, limits.prompt_lookup ? limits.prompt_lookup->max_draft_tokens : 0);
  limits.max_draws = std::max(limits.max_batch_size, 1 + static_cast<int>(most_drafts));
  if (config.peft_cache != nullptr) limits.adapters = ResolveAdapters(executor::CopySized(config.peft_cache), defaults);
  limits.request_stats = config.set & CONFIG_REQUEST_STATS && config.request_stats > 0;
  limits.batch_invariant = config.set & CONFIG_BATCH_INVARIANT && config.batch_invariant != 0;
  return limits;
}

int ResolveKvBlocks(const ExecutorConfig& config, const Limits& limits, const KvMemorySize& memory) {
  const ExecutorKvCacheConfig kv = executor::CopySized(config.kv_cache);
  const uint64_t tokens_per_block = static_cast<uint64_t>(memory.tokens_per_block);
  const auto blocks_of = [&](uint64_t tokens) { return (tokens + tokens_per_block - 1) / tokens_per_block; };
  uint64_t blocks = limits.max_batch_size * blocks_of(static_cast<uint64_t>(limits.max_seq_len));
  if (kv.set & KV_CACHE_MAX_TOKENS) blocks = blocks_of(kv.max_tokens);
  if (kv.set & KV_CACHE_MAX_BYTES) blocks = std::min(blocks, kv.max_bytes / memory.block_bytes);
  const bool has_fraction = kv.set & KV_CACHE_FREE_MEMORY_FRACTION;
  if (has_fraction && !(kv.free_memory_fraction > 0 && kv.free_memory_fraction <= 1))
    throw executor::OptionFailure(
        EXECUTOR_INVALID_OPTION, "kv_cache.free_memory_fraction",
        " is " + std::to_string(kv.free_memory_fraction) + "; expected a number above 0 and at most 1.");
  if (has_fraction || !(kv.set & (KV_CACHE_MAX_TOKENS | KV_CACHE_MAX_BYTES))) {
    const double fraction = has_fraction ? kv.free_memory_fraction : memory.default_fraction;
    blocks =
        std::min(blocks, static_cast<uint64_t>(fraction * static_cast<double>(memory.free_bytes)) / memory.block_bytes);
  }
  if (blocks == 0)
    throw Failure(EXECUTOR_OUT_OF_MEMORY, "The memory for the KV cache is smaller than one block; expected at least " +
                                              std::to_string(memory.block_bytes) +
                                              " bytes. Free memory, or allow kvCache more of it.")
        .About("kv_cache");
  return static_cast<int>(std::min<uint64_t>(blocks, std::numeric_limits<int>::max()));
}

}  // namespace embedded
