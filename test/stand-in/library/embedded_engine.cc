#include <cmath>

#include "check.h"
#include "engine.h"
#include "native/embedded/cpu/executor_table.h"
#include "native/executor/cpp/failure.h"

namespace stand_in {
namespace {

constexpr uint32_t kStepTimeoutMs = 20;

// The structs of an ExecutorRequest and what they point to.
class EmbeddedRequest {
 public:
  explicit EmbeddedRequest(const SequenceStart& start) : tokens_(start.request->getInputTokenIds()) {
    const tle::Request& request = *start.request;
    RefuseWhatIsNotRun(request);
    AddSampling(request.getSamplingConfig(), start.seed);
    output_.size = sizeof(output_);
    const tle::OutputConfig output = request.getOutputConfig();
    if (output.returnLogProbs) output_.flags |= OUTPUT_LOGPROBS;
    if (output.returnContextLogits) output_.flags |= OUTPUT_RETURN_CONTEXT_LOGITS;
    if (output.returnGenerationLogits) output_.flags |= OUTPUT_RETURN_GENERATION_LOGITS;

    request_.size = sizeof(request_);
    request_.id = start.id;
    request_.tokens = tokens_.data();
    request_.token_count = static_cast<uint32_t>(tokens_.size());
    request_.max_tokens = static_cast<uint32_t>(start.max_new_tokens);
    request_.streaming = 1;
    request_.sampling = &sampling_;
    request_.output = &output_;
    end_id_ = request.getEndId().value_or(-1);
    request_.end_ids = &end_id_;
    request_.end_id_count = end_id_ >= 0 ? 1 : 0;
    request_.stop_tokens = stop_words_.Set(request.getStopWords());
    request_.bad_tokens = bad_words_.Set(request.getBadWords());
    if (const auto bias = request.getEmbeddingBias()) AddBias(*bias);
  }
  EmbeddedRequest(const EmbeddedRequest&) = delete;
  EmbeddedRequest& operator=(const EmbeddedRequest&) = delete;

  const ExecutorRequest* get() const { return &request_; }

 private:
  class TokenLists {
   public:
    ExecutorTokenLists Set(const std::optional<std::list<tle::VecTokens>>& lists) {
      if (!lists) return {};
      for (const tle::VecTokens& list : *lists) {
        tokens_.insert(tokens_.end(), list.begin(), list.end());
        offsets_.push_back(static_cast<uint32_t>(tokens_.size()));
      }
      return {tokens_.data(), offsets_.data(), static_cast<uint32_t>(lists->size())};
    }

   private:
    std::vector<int32_t> tokens_;
    std::vector<uint32_t> offsets_ = {0};
  };

  static void RefuseWhatIsNotRun(const tle::Request& request) {
    if (const auto draft = request.getExternalDraftTokensConfig())
      Throw("Draft tokens length (" + std::to_string(draft->getTokens().size()) +
            ") exceeds maximum draft tokens length (0).");
    if (const auto lora = request.getLoraConfig())
      throw std::runtime_error("LoRA task " + std::to_string(lora->getTaskId()) +
                               " not found in cache. Please send LoRA weights with request");
    const bool is_run = !request.getPromptTuningConfig() && !request.getPositionIds() &&
                        request.getRequestType() == tle::RequestType::REQUEST_TYPE_CONTEXT_AND_GENERATION;
    if (!is_run) throw std::runtime_error("the stand-in's checkpoint runs no prompt tables or split requests");
#if STAND_IN_1_2
    if (request.getGuidedDecodingParams()) throw std::runtime_error("the stand-in's checkpoint runs no guides");
#endif
  }

  void AddSampling(const tle::SamplingConfig& config, tle::RandomSeedType seed) {
    sampling_.size = sizeof(sampling_);
    const auto set = [&](uint32_t bit, const auto& value, auto* field) {
      if (!value) return;
      sampling_.set |= bit;
      *field = static_cast<std::remove_pointer_t<decltype(field)>>(*value);
    };
    set(SAMPLING_TEMPERATURE, config.getTemperature(), &sampling_.temperature);
    set(SAMPLING_TOP_K, config.getTopK(), &sampling_.top_k);
    set(SAMPLING_TOP_P, config.getTopP(), &sampling_.top_p);
    // Both are 0 where unset, and two zeros are greedy; top_p alone at 0 is no bound.
    if (sampling_.top_k == 0 && !config.getTopP()) set(SAMPLING_TOP_K, std::optional<uint32_t>(1), &sampling_.top_k);
    set(SAMPLING_SEED, std::optional<tle::RandomSeedType>(seed), &sampling_.seed);
    set(SAMPLING_MIN_TOKENS, config.getMinTokens(), &sampling_.min_tokens);
    set(SAMPLING_REPETITION_PENALTY, config.getRepetitionPenalty(), &sampling_.repetition_penalty);
    set(SAMPLING_PRESENCE_PENALTY, config.getPresencePenalty(), &sampling_.presence_penalty);
    set(SAMPLING_FREQUENCY_PENALTY, config.getFrequencyPenalty(), &sampling_.frequency_penalty);
    set(SAMPLING_NO_REPEAT_NGRAM_SIZE, config.getNoRepeatNgramSize(), &sampling_.no_repeat_ngram_size);
    set(SAMPLING_TOP_P_MIN, config.getTopPMin(), &sampling_.top_p_min);
    set(SAMPLING_TOP_P_RESET_TOKEN, config.getTopPResetIds(), &sampling_.top_p_reset_token);
    set(SAMPLING_TOP_P_DECAY, config.getTopPDecay(), &sampling_.top_p_decay);
    set(SAMPLING_BEAM_DIVERSITY_RATE, config.getBeamSearchDiversityRate(), &sampling_.beam_diversity_rate);
    set(SAMPLING_LENGTH_PENALTY, config.getLengthPenalty(), &sampling_.length_penalty);
    set(SAMPLING_EARLY_STOPPING, config.getEarlyStopping(), &sampling_.early_stopping);
    set(SAMPLING_BEAM_WIDTH, std::optional<SizeType32>(config.getBeamWidth()), &sampling_.beam_width);
#if STAND_IN_1_2
    set(SAMPLING_MIN_P, config.getMinP(), &sampling_.min_p);
    set(SAMPLING_PROMPT_IGNORE_LENGTH, config.getPromptIgnoreLength(), &sampling_.prompt_ignore_length);
#endif
  }

  void AddBias(const tle::Tensor& bias) {
    if (bias.getDataType() != tle::DataType::kFP32) throw std::runtime_error("the embedding bias is not float32");
    const auto* values = static_cast<const float*>(bias.getData());
    for (size_t token = 0; token < bias.getSize(); ++token) {
      if (values[token] == 0) continue;
      bias_tokens_.push_back(static_cast<int32_t>(token));
      bias_values_.push_back(values[token]);
    }
    request_.logit_bias = {bias_tokens_.data(), bias_values_.data(), static_cast<uint32_t>(bias_tokens_.size())};
  }

  ExecutorRequest request_{};
  ExecutorSampling sampling_{};
  ExecutorOutputConfig output_{};
  std::vector<int32_t> tokens_;
  int32_t end_id_;
  TokenLists stop_words_, bad_words_;
  std::vector<int32_t> bias_tokens_;
  std::vector<float> bias_values_;
};

std::vector<float> Floats(const ExecutorTensor* tensor) {
  if (tensor == nullptr) return {};
  const auto* data = static_cast<const float*>(tensor->data);
  return std::vector<float>(data, data + tensor->shape[0] * tensor->shape[1]);
}

#if STAND_IN_1_2
std::optional<tle::KVCacheEventDiff<SizeType32>> Change(bool is_set, uint32_t from, uint32_t to) {
  if (!is_set) return std::nullopt;
  return tle::KVCacheEventDiff<SizeType32>{static_cast<SizeType32>(from), static_cast<SizeType32>(to)};
}

tle::KVCacheEventData DataOf(const ExecutorKvEvent& event) {
  switch (event.type) {
    case KV_EVENT_CREATED:
      return tle::KVCacheCreatedData{{event.level_blocks, event.level_blocks + event.level_count}};
    case KV_EVENT_STORED: {
      tle::KVCacheStoredData stored;
      if (event.set & KV_EVENT_PARENT_HASH) stored.parentHash = event.parent_hash;
      for (const ExecutorKvBlock* block = event.blocks; block != event.blocks + event.block_count; ++block) {
        tensorrt_llm::runtime::VecUniqueTokens tokens;
        for (uint32_t i = 0; i < block->token_count; ++i) tokens.push_back({block->tokens[i], 0});
        stored.blocks.emplace_back(block->hash, tokens, std::nullopt, static_cast<SizeType32>(block->cache_level),
                                   static_cast<SizeType32>(block->priority));
      }
      return stored;
    }
    case KV_EVENT_REMOVED:
      return tle::KVCacheRemovedData{{event.hashes, event.hashes + event.hash_count}};
    case KV_EVENT_UPDATED:
      break;
  }
  tle::KVCacheUpdatedData updated(event.hash);
  updated.cacheLevel = Change(event.set & KV_EVENT_CACHE_LEVEL, event.old_cache_level, event.new_cache_level);
  updated.priority = Change(event.set & KV_EVENT_PRIORITY, event.old_priority, event.new_priority);
  return updated;
}
#endif

class EmbeddedEngine : public Engine {
 public:
  EmbeddedEngine(const EngineDirectory& directory, const tle::ExecutorConfig& config, SizeType32 max_batch_size) {
    ExecutorKvCacheConfig kv_cache{};
    kv_cache.size = sizeof(kv_cache);
    if (const auto tokens = config.getKvCacheConfig().getMaxTokens()) {
      kv_cache.set |= KV_CACHE_MAX_TOKENS;
      kv_cache.max_tokens = static_cast<uint32_t>(*tokens);
    }
#if STAND_IN_1_2
    kv_cache.set |= KV_CACHE_EVENT_BUFFER;
    kv_cache.event_buffer_size = static_cast<uint32_t>(config.getKvCacheConfig().getEventBufferMaxSize());
    has_kv_events_ = kv_cache.event_buffer_size > 0;
    max_seq_len_ = directory.max_seq_len;
#endif
    const std::string path = directory.path.string();
    ExecutorConfig embedded{};
    embedded.size = sizeof(embedded);
    embedded.set = CONFIG_MAX_BATCH_SIZE | CONFIG_MAX_NUM_TOKENS;
    embedded.engine_dir = path.c_str();
    embedded.max_batch_size = static_cast<uint32_t>(max_batch_size);
    embedded.max_num_tokens =
        static_cast<uint32_t>(std::max(config.getMaxNumTokens().value_or(directory.max_num_tokens), max_batch_size));
    embedded.kv_cache = &kv_cache;
    executor::ThrowOnFailure(table_->create(&embedded, &executor_, &error_), error_);
  }
  ~EmbeddedEngine() override {
    if (executor_ != nullptr) table_->destroy(executor_);
  }
  EmbeddedEngine(const EmbeddedEngine&) = delete;
  EmbeddedEngine& operator=(const EmbeddedEngine&) = delete;

  void Start(const SequenceStart& start) override {
    const EmbeddedRequest request(start);
    const ExecutorRequest* pointer = request.get();
    executor::ThrowOnFailure(table_->submit(executor_, &pointer, 1, &error_), error_);
  }

  void Cancel(IdType id) override { executor::ThrowOnFailure(table_->cancel(executor_, &id, 1, &error_), error_); }

  std::vector<SequenceStep> Step() override {
    const ExecutorBatch* batch = nullptr;
    executor::ThrowOnFailure(table_->wait(executor_, kStepTimeoutMs, &batch, &error_), error_);
    std::vector<SequenceStep> steps;
    for (uint32_t row = 0; row < batch->row_count; ++row) steps.push_back(ReadRow(*batch, row));
    return steps;
  }

#if STAND_IN_1_2
  std::deque<tle::KVCacheEvent> TakeKvEvents() override {
    std::deque<tle::KVCacheEvent> taken;
    if (!has_kv_events_) return taken;
    ExecutorError error = executor::EmptyError();
    const ExecutorKvEvents* events = nullptr;
    executor::ThrowOnFailure(table_->kv_events(executor_, &events, &error), error);
    for (const ExecutorKvEvent* event = events->events; event != events->events + events->event_count; ++event)
      taken.emplace_back(event->id, DataOf(*event), max_seq_len_);
    return taken;
  }
#endif

  std::optional<tle::KvCacheStats> KvCache() override {
    ExecutorStats stats{};
    stats.size = sizeof(stats);
    executor::ThrowOnFailure(table_->stats(executor_, &stats, &error_), error_);
    tle::KvCacheStats kv_cache{};
    kv_cache.maxNumBlocks = static_cast<SizeType32>(stats.kv_blocks);
    kv_cache.freeNumBlocks = static_cast<SizeType32>(stats.kv_blocks_free);
    kv_cache.usedNumBlocks = static_cast<SizeType32>(stats.kv_blocks_used);
    kv_cache.tokensPerBlock = static_cast<SizeType32>(stats.tokens_per_block);
    kv_cache.allocTotalBlocks = static_cast<SizeType32>(stats.kv_blocks_allocated);
    kv_cache.allocNewBlocks = static_cast<SizeType32>(stats.kv_blocks_allocated_new);
    kv_cache.reusedBlocks = static_cast<SizeType32>(stats.kv_blocks_reused);
#if STAND_IN_1_2
    kv_cache.missedBlocks = static_cast<SizeType32>(stats.kv_blocks_missed);
    const double looked_up = static_cast<double>(stats.kv_blocks_reused + stats.kv_blocks_missed);
    kv_cache.cacheHitRate =
        looked_up > 0 ? static_cast<float>(static_cast<double>(stats.kv_blocks_reused) / looked_up) : 0;
#endif
    return kv_cache;
  }

 private:
  static SequenceStep ReadRow(const ExecutorBatch& batch, uint32_t row) {
    SequenceStep step;
    step.id = batch.request_ids[row];
    const uint32_t begin = batch.token_offsets[row], end = batch.token_offsets[row + 1];
    step.tokens.emplace_back(batch.tokens + begin, batch.tokens + end);
    step.logprobs.emplace_back();
    if (batch.logprobs != nullptr && end > begin && !std::isnan(batch.logprobs[begin]))
      step.logprobs.back().assign(batch.logprobs + begin, batch.logprobs + end);
    step.is_final = batch.flags[row] & ROW_REQUEST_FINAL;
    if (batch.finish[row] == FINISH_END_ID) step.finish = tle::FinishReason::kEND_ID;
    if (batch.finish[row] == FINISH_STOP_TOKENS) step.finish = tle::FinishReason::kSTOP_WORDS;
    if (batch.finish[row] == FINISH_LENGTH) step.finish = tle::FinishReason::kLENGTH;
    if (batch.details != nullptr && batch.details[row] != nullptr) {
      const ExecutorRowDetails& details = *batch.details[row];
      step.generation_logits = Floats(details.generation_logits);
      step.context_logits = Floats(details.context_logits);
      if (details.error != nullptr) step.error = details.error->message;
    }
    return step;
  }

  const ExecutorTable* table_ = embedded::cpu::CpuExecutorTable();
  Executor* executor_ = nullptr;
  ExecutorError error_ = executor::EmptyError();
#if STAND_IN_1_2
  bool has_kv_events_ = false;
  SizeType32 max_seq_len_ = 0;
#endif
};

}  // namespace

std::unique_ptr<Engine> MakeEmbeddedEngine(const EngineDirectory& directory, const tle::ExecutorConfig& config,
                                           SizeType32 max_batch_size) {
  return std::make_unique<EmbeddedEngine>(directory, config, max_batch_size);
}

}  // namespace stand_in
