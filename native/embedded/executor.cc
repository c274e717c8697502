#include "native/embedded/executor.h"

#include <algorithm>
#include <utility>

#include "native/embedded/warm_up.h"
#include "native/embedded/weights_files.h"
#include "native/executor/cpp/copy_sized.h"
#include "native/executor/cpp/request_checks.h"
#include "native/executor/cpp/start_thread.h"

namespace embedded {
namespace {

using executor::Failure;

// Dynamic frequencies of the rotation, and so the keys in a prompt's blocks, go by its length once that is above the original one.
BlockKey RootOf(const BlockKey& root, size_t prompt_tokens, const RopeScaling& scaling) {
  const bool is_stretched =
      scaling.type == RopeScalingType::kDynamic && static_cast<double>(prompt_tokens) > scaling.original_max_positions;
  return is_stretched ? RootOfLength(root, static_cast<uint32_t>(prompt_tokens)) : root;
}

// Of the weights of two models together, about how many the first has.
double PartOf(const ModelConfig& model, const ModelConfig& other) {
  const auto size = [](const ModelConfig& each) {
    return static_cast<double>(each.layers) * each.hidden_size * each.intermediate_size;
  };
  return size(model) / (size(model) + size(other));
}

}  // namespace

EmbeddedExecutor::EmbeddedExecutor(const ExecutorConfig& config, const Device& device)
    : engine_([&] {
        if (config.engine_dir == nullptr)
          throw Failure(EXECUTOR_INVALID_OPTION, "The engine directory is null; expected a path.");
        return ReadEngineConfig(config.engine_dir, device.quant_algos);
      }()),
      limits_(ResolveLimits(config, engine_, device.defaults)),
      reading_(engine_.model.vocab_size),
      batch_builder_(engine_.model.vocab_size) {
  std::optional<DraftEngine> draft;
  if (limits_.draft_model_tokens > 0) draft.emplace(config, engine_, limits_, device);
  const double own_part = draft ? PartOf(engine_.model, draft->options().model) : 1;
  const auto on_progress = [&](double from, double to) {
    return [&config, from, to](double done) {
      return config.on_progress == nullptr || config.on_progress(config.context, from + (to - from) * done) != 0;
    };
  };
  runner_ = device.make_runner({config, WeightsFiles(config, config.engine_dir, engine_.model.ranks()), engine_.model,
                                limits_, on_progress(0, own_part), draft ? &draft->options() : nullptr});
  if (config.guided_decoding != nullptr) MakeGuides(executor::CopySized(config.guided_decoding));
  const RunnerInfo& runner = runner_->info();
  // A sequence that the whole cache cannot hold could never end.
  const int64_t cached_tokens = int64_t{runner.kv_blocks} * runner.tokens_per_block;
  limits_.max_seq_len = static_cast<int>(std::min<int64_t>(limits_.max_seq_len, cached_tokens));
  limits_.max_input_len = std::min(limits_.max_input_len, limits_.max_seq_len - 1);
  limits_.kv_blocks = runner.kv_blocks;
  limits_.tokens_per_block = runner.tokens_per_block;
  limits_.block_pool.host_blocks = runner.host_blocks;
  BlockPoolOptions block_pool = limits_.block_pool;
  if (limits_.event_buffer_size > 0)
    block_pool.events = &kv_events_.emplace(limits_.event_buffer_size, runner.kv_blocks, runner.host_blocks);
  scheduler_.emplace(
      SchedulerLimits{limits_.max_num_tokens, limits_.max_batch_size, limits_.reuses_blocks, limits_.max_draws},
      BlockPool(runner.kv_blocks, runner.tokens_per_block, block_pool));
  if (limits_.adapters) adapters_.emplace(runner.adapter_values);
  if (draft) draft_model_ = draft->Load(device, cached_tokens, on_progress(own_part, 1));
  DescribeEngine(config, device);
  if (device.warms_up) WarmUp(limits_, engine_.model.vocab_size, runner_.get());
  step_thread_ = executor::StartThread([this] { StepThreadMain(); });
}

void EmbeddedExecutor::MakeGuides(const ExecutorGuidedDecodingConfig& config) {
  try {
    guides_.emplace(config, engine_.model.vocab_size);
  } catch (const Failure& failure) {
    if (config.optional == 0 || failure.code() != EXECUTOR_UNAVAILABLE) throw;
    limits_.is_guided = false;
  }
}

void EmbeddedExecutor::DescribeEngine(const ExecutorConfig& config, const Device& device) {
  const RunnerInfo& runner = runner_->info();
  memory_ = runner;
  if (draft_model_ != nullptr) {
    const RunnerInfo& draft = draft_model_->info();
    memory_.weight_bytes += draft.weight_bytes;
    memory_.kv_cache_bytes += draft.kv_cache_bytes;
    memory_.device_memory_bytes += draft.device_memory_bytes;
    memory_.pinned_memory_bytes += draft.pinned_memory_bytes;
  }
  info_.size = sizeof(info_);
  info_.vocab_size = static_cast<uint32_t>(engine_.model.vocab_size);
  info_.capabilities = device.capabilities | CAN_TIMEOUT;
  if (guides_) info_.capabilities |= CAN_GUIDED;
  if (adapters_) info_.capabilities |= CAN_LORA;
  if (kv_events_) info_.capabilities |= CAN_KV_EVENTS;
  if (limits_.max_beam_width == 1) info_.capabilities &= ~CAN_BEAM_SEARCH;
  info_.name = device.name;
  info_.version = PACKAGE_VERSION;
  info_.device = runner.device.c_str();
  info_.data_type = engine_.model.dtype.c_str();
  info_.max_batch_size = static_cast<uint32_t>(limits_.max_batch_size);
  info_.max_num_tokens = static_cast<uint32_t>(limits_.max_num_tokens);
  info_.max_input_len = static_cast<uint32_t>(limits_.max_input_len);
  info_.max_seq_len = static_cast<uint32_t>(limits_.max_seq_len);
  info_.max_beam_width = static_cast<uint32_t>(limits_.max_beam_width);
  info_.tensor_parallel_size = static_cast<uint32_t>(engine_.model.tp_size);
  info_.tokens_per_block = static_cast<uint32_t>(runner.tokens_per_block);
  info_.kv_blocks = static_cast<uint32_t>(runner.kv_blocks);
  info_.weight_bytes = memory_.weight_bytes;
  info_.kv_cache_bytes = memory_.kv_cache_bytes;
  info_.hidden_size = static_cast<uint32_t>(engine_.model.hidden_size);
  info_.guided_after_reasoning = guides_ ? 1 : 0;
  log_ = config.on_log;
  log_context_ = config.context;
  constexpr uint64_t kMegabyte = 1'000'000;
  Log(LOG_INFO, std::string(config.engine_dir) + ": " + std::to_string(info_.weight_bytes / kMegabyte) + " MB of " +
                    engine_.model.dtype + " weights, " + runner.device + ", a KV cache of " +
                    std::to_string(info_.kv_cache_bytes / kMegabyte) + " MB for " +
                    std::to_string(int64_t{runner.kv_blocks} * runner.tokens_per_block) + " tokens");
}

EmbeddedExecutor::~EmbeddedExecutor() {
  stopping_ = true;
  { const Lock lock(mutex_); }  // the step thread either sees the flag or already sleeps
  work_.notify_all();
  step_thread_.join();
  guides_.reset();  // its threads may call into this
}

void EmbeddedExecutor::Submit(const ExecutorRequest* const* requests, uint32_t count) {
  std::vector<std::shared_ptr<Request>> made;
  std::vector<std::shared_ptr<Adapter>> sent;
  for (uint32_t i = 0; i < count; ++i) {
    const ExecutorRequest given = executor::CopySized(requests[i]);
    made.push_back(MakeRequest(given, limits_, engine_.model.vocab_size));
    sent.push_back(SentAdapter(given));
    const Request& request = *made.back();
    const bool planned_ahead = runner_->DrawsAhead(request.sampling) && request.drafts.tokens.empty() &&
                               request.drafts.model_tokens == 0 && request.beams == nullptr;
    for (RequestSequence& sequence : made.back()->sequences) {
      sequence.planned_ahead = planned_ahead;
      sequence.root_key = RootOf(sequence.root_key, request.prompt_tokens, engine_.model.rope_scaling);
    }
  }
  {
    const Lock lock(mutex_);
    if (failure_) throw Failure(EXECUTOR_FAILED, *failure_);
    if (stopping_) throw Failure(EXECUTOR_CLOSED, executor::kClosedMessage);
    // The next step takes as many of those that wait as there are free slots: they are not queued.
    const size_t free_slots = static_cast<size_t>(limits_.max_batch_size) - scheduler_->TakenSlots();
    const size_t waiting = requests_.size() - ActiveRequests(*scheduler_);
    if (waiting + count > limits_.max_queue_size + free_slots)
      throw executor::QueueFull(waiting + count - free_slots, limits_.max_queue_size);
    for (uint32_t i = 0; i < count; ++i)
      if (const ExecutorLora* const lora = executor::CopySized(requests[i]).lora)
        UseAdapter(executor::CopySized(lora), std::move(sent[i]), made[i].get());
    size_t added = 0;
    try {
      for (std::shared_ptr<Request>& request : made) {
        const uint64_t id = request->id;
        Sequence* const sequence = &request->sequences.front();
        const auto [added_request, is_new] = requests_.emplace(id, std::move(request));
        if (!is_new) throw executor::IdInUse(id);
        ++added;
        deadlines_.Add(added_request->second.get());
        if (added_request->second->grammar)
          Compile(added_request->second);
        else
          scheduler_->Add(sequence);
      }
    } catch (...) {  // all or none
      for (size_t i = 0; i < added; ++i) {
        Request* const request = requests_.at(requests[i]->id).get();
        scheduler_->Remove(&request->sequences.front());
        Forget(request);
      }
      throw;
    }
  }
  work_.notify_all();
}

std::shared_ptr<Adapter> EmbeddedExecutor::SentAdapter(const ExecutorRequest& given) const {
  if (given.lora == nullptr) return nullptr;
  try {
    return ReadAdapter(executor::CopySized(given.lora), engine_.model, limits_.adapters->max_rank);
  } catch (const Failure& failure) {
    throw Failure(failure).OfRequest(given.id);
  }
}

void EmbeddedExecutor::UseAdapter(const ExecutorLora& lora, std::shared_ptr<Adapter> sent, Request* request) {
  try {
    request->adapter = adapters_->Use(lora.id, std::move(sent));
  } catch (const Failure& failure) {
    throw Failure(failure).OfRequest(request->id);
  }
  for (RequestSequence& sequence : request->sequences) {
    sequence.root_key = RootKey(sequence.root_key, request->adapter->serial);
    sequence.lora_id = lora.id;
  }
}

void EmbeddedExecutor::Compile(const std::shared_ptr<Request>& request) {
  guides_->Compile(*request->grammar, request->reasoning, request->sequences.size(),
                   [this, compiled = std::weak_ptr(request)](std::vector<std::shared_ptr<Guide>> guides,
                                                             const std::optional<Failure>& failure) {
                     const Lock lock(mutex_);
                     try {
                       const std::shared_ptr<Request> started = compiled.lock();
                       if (started == nullptr || started->ended()) return;
                       started->is_compiling = false;
                       --compiling_;
                       if (failure) {
                         FailRequest(started.get(), *failure);
                       } else {
                         for (RequestSequence& sequence : started->sequences)
                           sequence.guide = std::move(guides[sequence.index]);
                         scheduler_->Add(&started->sequences.front());
                       }
                     } catch (const std::exception& unexpected) {
                       Fail(unexpected.what(), kLoadAgain);
                     }
                     work_.notify_all();
                     rows_.notify_all();
                   });
  request->is_compiling = true;
  ++compiling_;
}

void EmbeddedExecutor::Forget(Request* request) {
  if (request->is_compiling) --compiling_;
  deadlines_.Remove(request);
  request->adapter = nullptr;  // a step in flight may keep the request alive
  requests_.erase(request->id);
}

void EmbeddedExecutor::Cancel(const uint64_t* ids, uint32_t count) {
  {
    const Lock lock(mutex_);
    for (uint32_t i = 0; i < count; ++i) {
      const auto found = requests_.find(ids[i]);
      if (found == requests_.end()) continue;
      const std::shared_ptr<Request> request = found->second;
      if (!request->runs()) {
        EndRequest(request.get(), FINISH_CANCELLED);
      } else if (!std::exchange(request->cancelled, true)) {
        EndAfterStep(request);  // it may be part of a step that runs: the step thread ends it
      }
    }
  }
  rows_.notify_all();
}

const ExecutorBatch* EmbeddedExecutor::Wait(std::chrono::milliseconds timeout) {
  reading_.Clear();  // the reader's own, so nobody waits while many rows are freed
  {
    Lock lock(mutex_);
    rows_.wait_for(lock, timeout, [&] { return !batch_builder_.empty() || interrupted_ || failure_; });
    if (batch_builder_.empty() && failure_ && !interrupted_) throw Failure(EXECUTOR_FAILED, *failure_);
    interrupted_ = false;
    std::swap(batch_builder_, reading_);
  }
  return reading_.Batch();
}

void EmbeddedExecutor::Interrupt() {
  {
    const Lock lock(mutex_);
    interrupted_ = true;
  }
  rows_.notify_all();
}

void EmbeddedExecutor::Stats(ExecutorStats* stats) {
  const Lock lock(mutex_);
  *stats = statistics_.Snapshot(*scheduler_, requests_, info_, memory_, limits_.request_stats);
}

const ExecutorKvEvents* EmbeddedExecutor::KvEvents() {
  if (!kv_events_)
    throw Failure(EXECUTOR_UNSUPPORTED,
                  "No KV events are collected; expected kvCache.eventBufferSize above 0. Set it.");
  return kv_events_->Take();
}

void EmbeddedExecutor::Shutdown(std::chrono::milliseconds deadline) {
  stopping_ = true;
  Lock lock(mutex_);
  work_.notify_all();
  stopped_.wait_for(lock, deadline, [&] { return thread_ended_; });
}

void EmbeddedExecutor::Log(ExecutorLogLevel level, const std::string& line) const {
  if (log_ != nullptr) log_(log_context_, level, line.c_str());
}

}  // namespace embedded
