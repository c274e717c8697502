#include "native/embedded/executor.h"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <utility>

#include "native/embedded/beams.h"
#include "native/embedded/draw_failures.h"
#include "native/embedded/pooling.h"
#include "native/executor/cpp/copy_sized.h"
#include "native/executor/cpp/request_checks.h"
#include "native/executor/cpp/start_thread.h"

namespace embedded {
namespace {

using executor::BatchRow;
using executor::Failure;

// std::condition_variable::wait needs a newer libstdc++ than a prebuilt addon may ask for; wait_for does not.
constexpr auto kLongTime = std::chrono::hours(1);

constexpr char kLoadAgain[] = ". Load the engine again.";

double MillisecondsBetween(Request::Clock::time_point from, Request::Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

// Dynamic frequencies of the rotation, and so the keys in a prompt's blocks, go by its length once that is above the original one.
BlockKey RootOf(const BlockKey& root, size_t prompt_tokens, const RopeScaling& scaling) {
  const bool is_stretched =
      scaling.type == RopeScalingType::kDynamic && static_cast<double>(prompt_tokens) > scaling.original_max_positions;
  return is_stretched ? RootOfLength(root, static_cast<uint32_t>(prompt_tokens)) : root;
}

void AddUsage(const Request& request, ExecutorRowDetails* numbers) {
  const auto now = Request::Clock::now();
  numbers->set |= DETAILS_USAGE | DETAILS_TIMING;
  numbers->prompt_tokens = static_cast<uint32_t>(request.prompt_tokens);
  numbers->queue_ms = MillisecondsBetween(request.submitted, request.started.value_or(now));
  numbers->first_token_ms = MillisecondsBetween(request.submitted, request.first_token.value_or(now));
  numbers->total_ms = MillisecondsBetween(request.submitted, now);
  numbers->kv_blocks_allocated = request.allocated_blocks();
  const Sequence& first = request.sequences.front();
  numbers->kv_blocks_reused = static_cast<uint32_t>(first.reused_blocks);
  numbers->kv_blocks_missed = static_cast<uint32_t>(first.missed_blocks);
  numbers->cached_tokens = static_cast<uint32_t>(first.reused_tokens);
  if (request.draft_tokens == 0) return;
  numbers->set |= DETAILS_SPECULATIVE;
  numbers->draft_tokens = request.draft_tokens;
  numbers->draft_tokens_accepted = request.draft_tokens_accepted;
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
  const int ranks = engine_.model.ranks();
  std::vector<std::string> weights_files;
  if (!(config.set & CONFIG_LOAD_FORMAT) || config.load_format == LOAD_FORMAT_AUTO)
    for (int rank = 0; rank < ranks; ++rank)
      weights_files.push_back(std::string(config.engine_dir) + "/rank" + std::to_string(rank) + ".safetensors");
  runner_ = device.make_runner({config, weights_files, engine_.model, limits_, [&](double done) {
                                  return config.on_progress == nullptr || config.on_progress(config.context, done) != 0;
                                }});
  if (config.guided_decoding != nullptr) MakeGuides(executor::CopySized(config.guided_decoding));
  const RunnerInfo& runner = runner_->info();
  // A sequence that the whole cache cannot hold could never end.
  const int64_t cached_tokens = int64_t{runner.kv_blocks} * runner.tokens_per_block;
  limits_.max_seq_len = static_cast<int>(std::min<int64_t>(limits_.max_seq_len, cached_tokens));
  limits_.max_input_len = std::min(limits_.max_input_len, limits_.max_seq_len - 1);
  limits_.kv_blocks = runner.kv_blocks;
  limits_.tokens_per_block = runner.tokens_per_block;
  limits_.block_pool.host_blocks = runner.host_blocks;
  scheduler_.emplace(
      SchedulerLimits{limits_.max_num_tokens, limits_.max_batch_size, limits_.reuses_blocks, limits_.max_draws},
      BlockPool(runner.kv_blocks, runner.tokens_per_block, limits_.block_pool));
  if (limits_.adapters) adapters_.emplace(runner.adapter_values);
  DescribeEngine(config, device);
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
  info_.size = sizeof(info_);
  info_.vocab_size = static_cast<uint32_t>(engine_.model.vocab_size);
  info_.capabilities = device.capabilities | CAN_TIMEOUT | (guides_ ? CAN_GUIDED : 0) | (adapters_ ? CAN_LORA : 0);
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
  info_.weight_bytes = runner.weight_bytes;
  info_.kv_cache_bytes = runner.kv_cache_bytes;
  info_.hidden_size = static_cast<uint32_t>(engine_.model.hidden_size);
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
    const bool planned_ahead =
        runner_->DrawsAhead(request.sampling) && request.drafts.tokens.empty() && request.beams == nullptr;
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
  for (RequestSequence& sequence : request->sequences)
    sequence.root_key = RootKey(sequence.root_key, request->adapter->serial);
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

void EmbeddedExecutor::Shutdown(std::chrono::milliseconds deadline) {
  stopping_ = true;
  Lock lock(mutex_);
  work_.notify_all();
  stopped_.wait_for(lock, deadline, [&] { return thread_ended_; });
}

void EmbeddedExecutor::StepThreadMain() {
  Lock lock(mutex_);
  try {
    while (!stopping_) {
      EndCancelledAndFailed();
      EndOverdue();
      const bool has_place = in_flight_.size() < static_cast<size_t>(runner_->info().max_steps_in_flight);
      if (has_place && !HoldsDraws() && requests_.size() > compiling_ && SubmitStep(&lock)) continue;
      if (!in_flight_.empty())
        CollectStep(&lock);
      else if (requests_.size() == compiling_)  // none, too
        work_.wait_for(lock, deadlines_.TimeLeft(kLongTime));
      else
        throw std::logic_error("the scheduler found no sequence to compute");
    }
    while (!requests_.empty()) EndRequest(requests_.begin()->second.get(), FINISH_CANCELLED);
  } catch (const std::bad_alloc&) {
    if (!lock.owns_lock()) lock.lock();
    Fail("the process is out of memory", kLoadAgain);
  } catch (const Failure& failure) {
    if (!lock.owns_lock()) lock.lock();
    Fail(failure.what(), "");  // it says itself how to fix it
  } catch (const std::exception& unexpected) {
    if (!lock.owns_lock()) lock.lock();
    Fail(unexpected.what(), kLoadAgain);
  }
  thread_ended_ = true;
  rows_.notify_all();
  stopped_.notify_all();
}

bool EmbeddedExecutor::SubmitStep(Lock* lock) {
  const auto start = Clock::now();
  const uint64_t preemptions = scheduler_->preemptions();
  Step step = scheduler_->PlanStep();
  if (step.entries.empty()) return false;
  scheduler_->AddDrafts(&step, [](Sequence* planned, size_t most) {
    RequestSequence* const sequence = static_cast<RequestSequence*>(planned);
    if (!sequence->drafts) return std::vector<int32_t>();
    return sequence->drafts->Propose(sequence->tokens, sequence->request->prompt_tokens, most);
  });
  if (preemptions == 0 && scheduler_->preemptions() > 0)
    Log(LOG_WARNING,
        "The KV cache is full: from now on, sequences are preempted, and computed again when there is room. Raise "
        "kvCache.maxTokens, or run fewer sequences at once.");
  statistics_.CountPlanned(step, start);
  StepInFlight& in_flight = in_flight_.emplace_back();
  in_flight.planned = start;
  for (const StepEntry& entry : step.entries) {
    RequestSequence* const sequence = SequenceOf(entry);
    const bool ends_embedding = sequence->request->pooling && sequence->pending_tokens > 0;
    in_flight.entries.push_back({sequence->request->shared_from_this(), sequence->index, entry.drafts, ends_embedding});
    for (RequestSequence* target = sequence; target < sequence + entry.draws; ++target) {
      if (target->guide == nullptr) continue;
      if (target->pending_tokens > 1)  // the one that this step draws, and one before it
        in_flight.unmasked.push_back(target);
      else
        AskForMask(target);
    }
  }
  lock->unlock();
  if (in_flight.unmasked.empty())
    runner_->Submit(step, stopping_);
  else
    runner_->SubmitWithoutDraws(step);
  lock->lock();
  return true;
}

bool EmbeddedExecutor::HoldsDraws() const { return !in_flight_.empty() && !in_flight_.back().unmasked.empty(); }

// The step before it was collected: its masks can be told, which takes as long as the device still computes.
void EmbeddedExecutor::DrawHeld(Lock* lock) {
  if (!HoldsDraws() || in_flight_.size() > 1) return;
  for (RequestSequence* sequence : std::exchange(in_flight_.back().unmasked, {}))
    if (!sequence->ended && !sequence->request->cancelled && !sequence->request->failure) AskForMask(sequence);
  lock->unlock();
  runner_->Draw();
  lock->lock();
}

void EmbeddedExecutor::AskForMask(RequestSequence* sequence) {
  const auto end = sequence->tokens.end();
  const size_t unheard =
      sequence->generated_tokens - std::exchange(sequence->guided_tokens, sequence->generated_tokens);
  Guide::Ask(sequence->guide, std::vector<int32_t>(end - static_cast<std::ptrdiff_t>(unheard), end));
}

void EmbeddedExecutor::CollectStep(Lock* lock) {
  lock->unlock();
  StepResults results = runner_->Collect();
  lock->lock();
  const StepInFlight step = std::move(in_flight_.front());
  in_flight_.pop_front();
  if (results.empty()) return;  // abandoned
  statistics_.CountComputed(MillisecondsBetween(step.planned, Clock::now()));
  for (size_t i = 0; i < results.size(); ++i) Commit(step.entries[i], std::move(results[i]));
  EndCancelledAndFailed();
  rows_.notify_all();
  DrawHeld(lock);
}

void EmbeddedExecutor::Commit(const StepInFlight::Entry& entry, std::vector<DrawResult> results) {
  Request* const request = entry.request.get();
  if (request->cancelled || request->failure || request->ended()) return;
  if (!entry.drafts.empty()) return CommitDrafts(entry, std::move(results));
  for (DrawResult& result : results) {
    if (!result.failure) continue;
    request->failure = std::move(result.failure);
    EndAfterStep(entry.request);
    return;
  }
  RequestSequence* const sequence = &request->sequences[entry.sequence];
  if (entry.ends_embedding) return EndEmbedding(sequence);
  if (results.empty()) {  // in the middle of its prompt: the first row says that it no longer waits
    if (request->streaming && !request->has_row) batch_builder_.Add(TakeRow(sequence), statistics_.steps());
    return;
  }
  if (!request->first_token) request->first_token = Clock::now();
  if (request->beams != nullptr) return CommitBeams(sequence, std::move(results));
  // The last of these may end the request.
  for (size_t i = 0; i < results.size(); ++i)
    if (!sequence[i].ended) {
      AddToken(&sequence[i], std::move(results[i].output));
      AfterTokens(&sequence[i]);
    }
}

void EmbeddedExecutor::CommitDrafts(const StepInFlight::Entry& entry, std::vector<DrawResult> results) {
  Request* const request = entry.request.get();
  RequestSequence* const sequence = &request->sequences[entry.sequence];
  size_t accepted = 0;
  while (accepted < entry.drafts.size() && !results[accepted].failure &&
         results[accepted].output.tokens.front() == entry.drafts[accepted])
    ++accepted;
  sequence->has_unverified_drafts = false;
  sequence->drafts->Verified(entry.drafts.size(), accepted);
  statistics_.CountDrafts(request, entry.drafts.size(), accepted);
  if (!request->first_token) request->first_token = Clock::now();
  for (size_t i = 0; i <= accepted && !sequence->ended; ++i) {
    if (results[i].failure) {
      request->failure = std::move(results[i].failure);
      return EndAfterStep(entry.request);
    }
    if (i < accepted) sequence->AcceptDraft();
    AddToken(sequence, std::move(results[i].output));
  }
  AfterTokens(sequence);
}

void EmbeddedExecutor::AfterTokens(RequestSequence* sequence) {
  statistics_.CountTokens(sequence);
  if (sequence->ended) return;
  const Request& request = *sequence->request;
  if (sequence->drafts)  // it waits for its token where that may be followed by drafts
    sequence->planned_ahead = runner_->DrawsAhead(request.sampling) &&
                              sequence->drafts->Propose(sequence->tokens, request.prompt_tokens, 1).empty();
  if (request.streaming) batch_builder_.Add(TakeRow(sequence), statistics_.steps());
}

void EmbeddedExecutor::EndEmbedding(RequestSequence* sequence) {
  Request* const request = sequence->request;
  if (!FinishEmbedding(request)) return FailRequest(request, NoFiniteEmbedding(request->id, engine_.model.dtype));
  request->first_token = Clock::now();  // there is none, but this is when it would have come
  EndSequence(sequence, FINISH_LENGTH);
}

void EmbeddedExecutor::AddToken(RequestSequence* sequence, Output output) {
  const Request& request = *sequence->request;
  const int32_t token = output.tokens.front();
  const ExecutorFinish finish = request.FinishOf(sequence->tokens, token);
  if (finish == FINISH_END_ID) return EndSequence(sequence, finish, token);
  sequence->AddToken(token);
  ++sequence->generated_tokens;
  sequence->unsent.Append(std::move(output));
  if (finish != FINISH_NONE) EndSequence(sequence, finish);
}

void EmbeddedExecutor::CommitBeams(RequestSequence* sequence, std::vector<DrawResult> results) {
  Request* const request = sequence->request;
  RequestSequence* const first = &request->sequences.front();
  if (first->waits_at) {  // the beams were preempted while the step ran, and start again from the prompt
    first->pending_tokens = 0;
    return;
  }
  if (!request->beams->Add(*sequence, std::move(results))) return;
  request->beams->Advance(request, &*scheduler_);
  if (request->beams->done()) return EndBeams(request);
  // What a beam has may still be replaced: there are no rows before the end, but for one that says it no longer waits.
  if (request->streaming && !request->has_row) batch_builder_.Add(TakeRow(first), statistics_.steps());
}

void EmbeddedExecutor::EndBeams(Request* request) {
  std::vector<BeamOutput> outputs = request->beams->Outputs(*request, request->outputs);
  if (outputs.size() < request->outputs) {
    request->failure = TooFewOutputs(request->id, outputs.size(), request->outputs);
    return EndAfterStep(request->shared_from_this());
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    RequestSequence& sequence = request->sequences[i];
    sequence.unsent = std::move(outputs[i].output);
    EndSequence(&sequence, outputs[i].finish, outputs[i].stop_token);
  }
}

void EmbeddedExecutor::EndAfterStep(std::shared_ptr<Request> request) { ending_.push_back(std::move(request)); }

void EmbeddedExecutor::EndCancelledAndFailed() {
  if (ending_.empty()) return;
  for (const std::shared_ptr<Request>& request : std::exchange(ending_, {})) {
    if (request->ended()) continue;
    if (request->failure)
      FailRequest(request.get(), *request->failure);
    else
      EndRequest(request.get(), FINISH_CANCELLED);
  }
  rows_.notify_all();
}

void EmbeddedExecutor::EndOverdue() {
  bool ended = false;
  for (; Request* const request = deadlines_.Overdue(); ended = true) EndRequest(request, FINISH_TIMEOUT);
  if (ended) rows_.notify_all();
}

BatchRow EmbeddedExecutor::TakeRow(RequestSequence* sequence) {
  Request* const request = sequence->request;
  BatchRow row;
  row.request_id = request->id;
  row.sequence = sequence->index;
  if (request->first_token && request->prompt_output != nullptr)
    *DetailsOf(&row) = std::move(*std::exchange(request->prompt_output, nullptr));
  Output output = std::exchange(sequence->unsent, {});
  row.tokens = std::move(output.tokens);
  row.logprobs = std::move(output.logprobs);
  row.top_logprobs = std::move(output.top_logprobs);
  if (!output.logits.empty()) DetailsOf(&row)->generation_logits = std::move(output.logits);
  if (!std::exchange(request->has_row, true)) AddUsage(*request, &DetailsOf(&row)->numbers);
  return row;
}

void EmbeddedExecutor::EndSequence(RequestSequence* sequence, ExecutorFinish finish,
                                   std::optional<int32_t> stop_token) {
  Request* const request = sequence->request;
  sequence->ended = true;
  const bool is_last = --request->sequences_left == 0;
  BatchRow row = TakeRow(sequence);
  row.finish = finish;
  row.flags = ROW_SEQUENCE_FINAL;
  if (is_last) {
    row.flags |= ROW_REQUEST_FINAL;
    AddUsage(*request, &DetailsOf(&row)->numbers);
  }
  if (stop_token) {
    DetailsOf(&row)->numbers.set |= DETAILS_STOP_TOKEN;
    DetailsOf(&row)->numbers.stop_token = *stop_token;
  }
  batch_builder_.Add(std::move(row), statistics_.steps());
  scheduler_->Remove(sequence);
  if (!is_last) return;
  for (size_t beam = request->outputs; beam < request->sequences.size(); ++beam)
    scheduler_->Remove(&request->sequences[beam]);
  statistics_.CountEnded();
  Forget(request);
}

void EmbeddedExecutor::EndRequest(Request* request, ExecutorFinish finish) {
  std::vector<RequestSequence*> left;  // the end of the last is the request's
  for (size_t i = 0; i < request->outputs; ++i)
    if (!request->sequences[i].ended) left.push_back(&request->sequences[i]);
  for (RequestSequence* sequence : left) EndSequence(sequence, finish);
}

// One row for all its sequences.
void EmbeddedExecutor::FailRequest(Request* request, const Failure& failure) {
  const auto left = std::find_if(request->sequences.begin(), request->sequences.end(),
                                 [](const RequestSequence& sequence) { return !sequence.ended; });
  BatchRow row = TakeRow(&*left);
  row.finish = FINISH_ERROR;
  row.flags = ROW_SEQUENCE_FINAL | ROW_REQUEST_FINAL;
  AddUsage(*request, &DetailsOf(&row)->numbers);
  row.details->error = std::make_unique<ExecutorError>(executor::EmptyError());
  executor::Report(row.details->error.get(), Failure(failure).OfRequest(request->id));
  batch_builder_.Add(std::move(row), statistics_.steps());
  for (RequestSequence& sequence : request->sequences) {
    scheduler_->Remove(&sequence);
    sequence.ended = true;
  }
  request->sequences_left = 0;
  statistics_.CountEnded();
  Forget(request);
}

void EmbeddedExecutor::Log(ExecutorLogLevel level, const std::string& line) const {
  if (log_ != nullptr) log_(log_context_, level, line.c_str());
}

void EmbeddedExecutor::Fail(const char* reason, const char* fix) noexcept {
  try {
    failure_ = std::string("A step failed: ") + reason + fix;
    Log(LOG_ERROR, *failure_);
    const Failure failure(EXECUTOR_FAILED, *failure_);
    while (!requests_.empty()) FailRequest(requests_.begin()->second.get(), failure);
  } catch (...) {
    failure_.emplace();
  }
}

void EmbeddedExecutor::Stats(ExecutorStats* stats) {
  const Lock lock(mutex_);
  *stats = statistics_.Snapshot(*scheduler_, requests_, info_, runner_->info(), limits_.request_stats);
}

}  // namespace embedded
