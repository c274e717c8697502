#include "native/embedded/executor.h"

#include <algorithm>
#include <new>
#include <utility>

#include "native/embedded/cpu/dispatch.h"
#include "native/embedded/cpu/memory.h"
#include "native/executor/cpp/read_struct.h"

namespace embedded {
namespace {

using executor::Failure;
using executor::Row;

// std::condition_variable::wait needs a newer libstdc++ than a prebuilt addon may ask for; wait_for does not.
constexpr auto kLongTime = std::chrono::hours(1);

double MillisecondsBetween(Request::Clock::time_point from, Request::Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

RequestSequence* SequenceOf(Sequence* sequence) { return static_cast<RequestSequence*>(sequence); }

bool EndsWith(const std::vector<int32_t>& tokens, size_t first, const std::vector<int32_t>& word) {
  return tokens.size() - first >= word.size() && std::equal(word.begin(), word.end(), tokens.end() - word.size());
}

void AddUsage(const Request& request, ExecutorRowDetails* numbers) {
  const auto now = Request::Clock::now();
  numbers->set |= DETAILS_USAGE | DETAILS_TIMING;
  numbers->prompt_tokens = static_cast<uint32_t>(request.prompt_tokens);
  numbers->queue_ms = MillisecondsBetween(request.submitted, request.started.value_or(now));
  numbers->first_token_ms = MillisecondsBetween(request.submitted, request.first_token.value_or(now));
  numbers->total_ms = MillisecondsBetween(request.submitted, now);
  numbers->kv_blocks_allocated = request.allocated_blocks();
}

}  // namespace

CpuExecutor::CpuExecutor(const ExecutorConfig& given)
    : engine_([&] {
        if (given.engine_dir == nullptr)
          throw Failure(EXECUTOR_INVALID_OPTION, "engine_dir is null; it must name an engine directory");
        return ReadEngineConfig(given.engine_dir);
      }()),
      limits_(ResolveLimits(given, engine_)),
      outbox_(engine_.model.vocab_size),
      reading_(engine_.model.vocab_size) {
  const cpu::Kernels& kernels = cpu::SelectKernels();
  const int kv_blocks = ResolveKvBlocks(given, engine_.model, limits_);
  // A sequence that the whole cache cannot hold could never end.
  limits_.max_seq_len = static_cast<int>(std::min<int64_t>(limits_.max_seq_len, int64_t{kv_blocks} * kTokensPerBlock));
  limits_.max_input_len = std::min(limits_.max_input_len, limits_.max_seq_len - 1);
  runner_ = std::make_unique<StepRunner>(
      given.engine_dir, engine_.model, limits_, kv_blocks, kernels,
      [&](double done) { return given.on_progress == nullptr || given.on_progress(given.context, done) != 0; });
  scheduler_.emplace(SchedulerLimits{limits_.max_num_tokens, limits_.max_batch_size}, kv_blocks);

  device_ =
      std::to_string(limits_.threads) + (limits_.threads == 1 ? " thread, " : " threads, ") + kernels.name + " kernels";
  info_.size = sizeof(info_);
  info_.vocab_size = static_cast<uint32_t>(engine_.model.vocab_size);
  info_.capabilities = kCapabilities;
  info_.name = "cpu";
  info_.version = PACKAGE_VERSION;
  info_.device = device_.c_str();
  info_.data_type = engine_.model.dtype.c_str();
  info_.max_batch_size = static_cast<uint32_t>(limits_.max_batch_size);
  info_.max_num_tokens = static_cast<uint32_t>(limits_.max_num_tokens);
  info_.max_input_len = static_cast<uint32_t>(limits_.max_input_len);
  info_.max_seq_len = static_cast<uint32_t>(limits_.max_seq_len);
  info_.max_beam_width = 1;
  info_.tensor_parallel_size = 1;
  info_.tokens_per_block = kTokensPerBlock;
  info_.kv_blocks = static_cast<uint32_t>(kv_blocks);
  info_.weight_bytes = runner_->weight_bytes();
  info_.kv_cache_bytes = KvMemory::BytesPerBlock(engine_.model) * static_cast<uint64_t>(kv_blocks);
  log_ = given.on_log;
  log_context_ = given.context;
  constexpr uint64_t kMegabyte = 1'000'000;
  Log(LOG_INFO, std::string(given.engine_dir) + ": " + std::to_string(info_.weight_bytes / kMegabyte) + " MB of " +
                    engine_.model.dtype + " weights, " + device_ + ", a KV cache of " +
                    std::to_string(info_.kv_cache_bytes / kMegabyte) + " MB for " +
                    std::to_string(int64_t{kv_blocks} * kTokensPerBlock) + " tokens");
  step_thread_ = std::thread([this] { StepThreadMain(); });
}

CpuExecutor::~CpuExecutor() {
  stopping_ = true;
  { const Lock lock(mutex_); }  // the step thread either sees the flag or already sleeps
  work_.notify_all();
  step_thread_.join();
}

void CpuExecutor::Submit(const ExecutorRequest* const* requests, uint32_t count) {
  std::vector<std::unique_ptr<Request>> made;
  for (uint32_t i = 0; i < count; ++i)
    made.push_back(MakeRequest(executor::ReadStruct(requests[i]), limits_, engine_.model.vocab_size));
  {
    const Lock lock(mutex_);
    if (failure_) throw Failure(EXECUTOR_FAILED, *failure_);
    if (stopping_) throw Failure(EXECUTOR_CLOSED, "the executor was shut down; load the engine again");
    // The next step takes as many of those that wait as there are free slots: they are not queued.
    const size_t free_slots = static_cast<size_t>(limits_.max_batch_size) - scheduler_->TakenSlots();
    const size_t waiting = requests_.size() - ActiveRequests();
    const size_t queued = waiting - std::min(waiting, free_slots);
    if (waiting + count > limits_.max_queue_size + free_slots)
      throw Failure(EXECUTOR_QUEUE_FULL, std::to_string(queued) + " requests wait and " + std::to_string(count) +
                                             " came; max_queue_size is " + std::to_string(limits_.max_queue_size) +
                                             ". Try again later");
    size_t added = 0;
    try {
      for (std::unique_ptr<Request>& request : made) {
        const uint64_t id = request->id;
        Sequence* const sequence = &request->sequences.front();
        if (!requests_.emplace(id, std::move(request)).second)
          throw Failure(EXECUTOR_INVALID_INPUT, "request id " + std::to_string(id) + " still runs; choose another", id);
        ++added;
        scheduler_->Add(sequence);
      }
    } catch (...) {  // all or none
      for (size_t i = 0; i < added; ++i) {
        const auto found = requests_.find(requests[i]->id);
        scheduler_->Remove(&found->second->sequences.front());
        requests_.erase(found);
      }
      throw;
    }
  }
  work_.notify_all();
}

void CpuExecutor::Cancel(const uint64_t* ids, uint32_t count) {
  {
    const Lock lock(mutex_);
    for (uint32_t i = 0; i < count; ++i) {
      const auto found = requests_.find(ids[i]);
      if (found == requests_.end()) continue;
      Request* const request = found->second.get();
      if (request->runs())
        request->cancelled = true;  // it may be part of the step that runs: the step thread ends it
      else
        CancelRequest(request);
    }
  }
  rows_.notify_all();
}

const ExecutorBatch* CpuExecutor::Wait(std::chrono::milliseconds timeout) {
  Lock lock(mutex_);
  reading_.Clear();
  rows_.wait_for(lock, timeout, [&] { return !outbox_.empty() || interrupted_ || failure_; });
  if (outbox_.empty() && failure_ && !interrupted_) throw Failure(EXECUTOR_FAILED, *failure_);
  interrupted_ = false;
  std::swap(outbox_, reading_);
  return reading_.Batch();
}

void CpuExecutor::Interrupt() {
  {
    const Lock lock(mutex_);
    interrupted_ = true;
  }
  rows_.notify_all();
}

void CpuExecutor::Shutdown(std::chrono::milliseconds deadline) {
  stopping_ = true;
  Lock lock(mutex_);
  work_.notify_all();
  stopped_.wait_for(lock, deadline, [&] { return thread_ended_; });
}

void CpuExecutor::StepThreadMain() {
  Lock lock(mutex_);
  try {
    while (!stopping_) {
      if (requests_.empty())
        work_.wait_for(lock, kLongTime);
      else
        RunStep(&lock);
    }
    while (!requests_.empty()) CancelRequest(requests_.begin()->second.get());
  } catch (const std::bad_alloc&) {
    if (!lock.owns_lock()) lock.lock();
    Fail("no memory is left");
  } catch (const std::exception& unexpected) {
    if (!lock.owns_lock()) lock.lock();
    Fail(unexpected.what());
  }
  thread_ended_ = true;
  rows_.notify_all();
  stopped_.notify_all();
}

void CpuExecutor::RunStep(Lock* lock) {
  const auto start = Clock::now();
  const uint64_t preemptions = scheduler_->preemptions();
  const Step step = scheduler_->PlanStep();
  if (preemptions == 0 && scheduler_->preemptions() > 0)
    Log(LOG_WARNING,
        "the KV cache is full: from now on sequences are put off and computed again when there is room. Give it more "
        "tokens, or run fewer sequences at once");
  CountPlanned(step, start);
  lock->unlock();
  std::vector<std::vector<StepResult>> results = runner_->Run(step, stopping_);
  lock->lock();
  if (results.empty()) return;  // abandoned
  ++stats_.steps;
  stats_.step_ms = MillisecondsBetween(start, Clock::now());
  for (size_t i = 0; i < results.size(); ++i) Commit(step.entries[i], std::move(results[i]));
  EndCancelledAndFailed();
  rows_.notify_all();
}

// The sequences of a request run side by side.
size_t CpuExecutor::ActiveRequests() const {
  size_t active = 0;
  const Request* previous = nullptr;
  for (Sequence* sequence : scheduler_->running())
    if (const Request* request = SequenceOf(sequence)->request; std::exchange(previous, request) != request) ++active;
  return active;
}

void CpuExecutor::CountPlanned(const Step& step, Clock::time_point start) {
  uint64_t started = 0;
  double queue_ms = 0;
  stats_.scheduled_requests = stats_.context_requests = stats_.generation_requests = stats_.context_tokens = 0;
  scheduled_.clear();
  // A request's entries stand side by side; it counts once, or twice where a sequence that was preempted is computed
  // again beside one in decode.
  const Request *scheduled = nullptr, *in_context = nullptr, *in_generation = nullptr;
  for (const StepEntry& entry : step.entries) {
    Request* const request = SequenceOf(entry.sequence)->request;
    if (std::exchange(scheduled, request) != request) {
      ++stats_.scheduled_requests;
      scheduled_.push_back(request->id);
    }
    if (entry.tokens > 1 || entry.sequence->computed_tokens < request->prompt_tokens) {
      if (std::exchange(in_context, request) != request) ++stats_.context_requests;
      stats_.context_tokens += static_cast<uint32_t>(entry.tokens);
    } else {
      if (std::exchange(in_generation, request) != request) ++stats_.generation_requests;
    }
    if (request->started) continue;
    request->started = start;
    ++started;
    queue_ms += MillisecondsBetween(request->submitted, start);
  }
  stats_.new_active_requests += started;
  stats_.queue_ms = started > 0 ? queue_ms / static_cast<double>(started) : 0;
}

void CpuExecutor::Commit(const StepEntry& entry, std::vector<StepResult> results) {
  RequestSequence* const sequence = SequenceOf(entry.sequence);
  Request* const request = sequence->request;
  sequence->computed_tokens += static_cast<size_t>(entry.tokens);
  if (request->cancelled) return;  // ended when the whole step is committed
  for (StepResult& result : results)
    if (result.failure) {
      request->failure = std::move(result.failure);
      return;
    }
  if (results.empty()) {  // in the middle of its prompt: the first row says that it no longer waits
    if (request->streaming && !request->has_row) outbox_.Add(TakeRow(sequence), stats_.steps);
    return;
  }
  if (!request->first_token) request->first_token = Clock::now();
  if (sequence->forks > 0) {
    std::vector<Sequence*> forks;
    for (size_t i = 1; i < request->sequences.size(); ++i) forks.push_back(&request->sequences[i]);
    scheduler_->Fork(sequence, forks);
  }
  // The last of these may end the request.
  for (size_t i = 0; i < results.size(); ++i) AddToken(sequence + i, std::move(results[i].output));
}

void CpuExecutor::AddToken(RequestSequence* sequence, Output output) {
  const Request& request = *sequence->request;
  const int32_t token = output.tokens.front();
  if (std::find(request.end_ids.begin(), request.end_ids.end(), token) != request.end_ids.end())
    return EndSequence(sequence, FINISH_END_ID, token);
  sequence->tokens.push_back(token);
  ++sequence->generated_tokens;
  sequence->unsent.Append(std::move(output));
  const bool stopped = std::any_of(request.stop_words.begin(), request.stop_words.end(), [&](const auto& word) {
    return EndsWith(sequence->tokens, request.prompt_tokens, word);
  });
  if (stopped) return EndSequence(sequence, FINISH_STOP_WORDS);
  if (sequence->generated_tokens == request.max_tokens) return EndSequence(sequence, FINISH_LENGTH);
  if (request.streaming) outbox_.Add(TakeRow(sequence), stats_.steps);
}

// Those that run: Cancel itself ends what waits.
void CpuExecutor::EndCancelledAndFailed() {
  std::vector<Request*> ended;
  for (Sequence* sequence : scheduler_->running()) {
    Request* const request = SequenceOf(sequence)->request;
    if ((request->cancelled || request->failure) && (ended.empty() || ended.back() != request))
      ended.push_back(request);
  }
  for (Request* request : ended) {
    if (request->failure)
      FailRequest(request, *request->failure);
    else
      CancelRequest(request);
  }
}

Row CpuExecutor::TakeRow(RequestSequence* sequence) {
  Request* const request = sequence->request;
  Row row;
  row.request_id = request->id;
  row.sequence = sequence->index;
  if (request->first_token) row.details = std::move(request->prompt_output);
  Output output = std::exchange(sequence->unsent, {});
  row.tokens = std::move(output.tokens);
  row.logprobs = std::move(output.logprobs);
  row.top_logprobs = std::move(output.top_logprobs);
  if (!output.logits.empty()) DetailsOf(&row)->generation_logits = std::move(output.logits);
  if (!std::exchange(request->has_row, true)) AddUsage(*request, &DetailsOf(&row)->numbers);
  return row;
}

void CpuExecutor::EndSequence(RequestSequence* sequence, ExecutorFinish finish, std::optional<int32_t> stop_token) {
  Request* const request = sequence->request;
  sequence->ended = true;
  const bool is_last = --request->sequences_left == 0;
  Row row = TakeRow(sequence);
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
  outbox_.Add(std::move(row), stats_.steps);
  scheduler_->Remove(sequence);
  if (!is_last) return;
  ++stats_.completed_requests;
  requests_.erase(request->id);
}

void CpuExecutor::CancelRequest(Request* request) {
  std::vector<RequestSequence*> left;  // the end of the last is the request's
  for (RequestSequence& sequence : request->sequences)
    if (!sequence.ended) left.push_back(&sequence);
  for (RequestSequence* sequence : left) EndSequence(sequence, FINISH_CANCELLED);
}

// One row for all its sequences.
void CpuExecutor::FailRequest(Request* request, const Failure& failure) {
  const auto left = std::find_if(request->sequences.begin(), request->sequences.end(),
                                 [](const RequestSequence& sequence) { return !sequence.ended; });
  Row row = TakeRow(&*left);
  row.finish = FINISH_ERROR;
  row.flags = ROW_SEQUENCE_FINAL | ROW_REQUEST_FINAL;
  AddUsage(*request, &DetailsOf(&row)->numbers);
  row.details->error = std::make_unique<ExecutorError>(executor::EmptyError());
  executor::Report(row.details->error.get(), failure.code(), failure.what(), request->id);
  outbox_.Add(std::move(row), stats_.steps);
  for (RequestSequence& sequence : request->sequences) scheduler_->Remove(&sequence);
  ++stats_.completed_requests;
  requests_.erase(request->id);
}

void CpuExecutor::Log(ExecutorLogLevel level, const std::string& line) const {
  if (log_ != nullptr) log_(log_context_, level, line.c_str());
}

// Ends every request with an error, if memory lets it; either way nothing runs any more.
void CpuExecutor::Fail(const char* reason) noexcept {
  try {
    failure_ = std::string("a step failed: ") + reason + ". Load the engine again";
    Log(LOG_ERROR, *failure_);
    const Failure failure(EXECUTOR_FAILED, *failure_);
    while (!requests_.empty()) FailRequest(requests_.begin()->second.get(), failure);
  } catch (...) {
    failure_.emplace();
  }
}

void CpuExecutor::Stats(ExecutorStats* given) {
  const Lock lock(mutex_);
  const BlockPool& blocks = scheduler_->blocks();
  ExecutorStats stats = stats_;
  stats.active_requests = static_cast<uint32_t>(ActiveRequests());
  stats.queued_requests = static_cast<uint32_t>(requests_.size()) - stats.active_requests;
  stats.max_active_requests = stats.max_batch_size = info_.max_batch_size;
  stats.max_num_tokens = info_.max_num_tokens;
  stats.host_memory_bytes = ResidentMemoryBytes();
  stats.kv_blocks = static_cast<uint32_t>(blocks.blocks());
  stats.kv_blocks_free = static_cast<uint32_t>(blocks.free_blocks());
  stats.kv_blocks_used = static_cast<uint32_t>(blocks.used_blocks());
  stats.tokens_per_block = kTokensPerBlock;
  stats.kv_blocks_allocated = stats.kv_blocks_allocated_new = blocks.allocations();
  stats.decoded_tokens_per_step = 1;
  stats.preemptions = scheduler_->preemptions();
  request_stats_.clear();
  if (limits_.request_stats)
    for (const auto& [id, request] : requests_) request_stats_.push_back(StatsOf(*request));
  for (const ExecutorRequestStats& request : request_stats_) stats.paused_requests += request.paused;
  stats.request_count = static_cast<uint32_t>(request_stats_.size());
  stats.requests = request_stats_.data();
  *given = stats;
}

ExecutorRequestStats CpuExecutor::StatsOf(const Request& request) const {
  ExecutorRequestStats stats{};
  stats.id = request.id;
  const size_t computed = request.sequences.front().computed_tokens;
  const bool runs = request.runs();
  stats.stage = !runs ? STAGE_QUEUED : computed < request.prompt_tokens ? STAGE_CONTEXT : STAGE_GENERATION;
  stats.prompt_tokens_computed = static_cast<uint32_t>(std::min(computed, request.prompt_tokens));
  for (const RequestSequence& sequence : request.sequences)
    stats.generated_tokens += static_cast<uint32_t>(sequence.generated_tokens);
  stats.scheduled = std::find(scheduled_.begin(), scheduled_.end(), request.id) != scheduled_.end();
  stats.paused = !runs && request.started;
  stats.kv_blocks_allocated = request.allocated_blocks();
  stats.decoded_tokens_per_step = 1;
  return stats;
}

}  // namespace embedded
