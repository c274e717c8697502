#include "native/tensorrt_llm/executor.h"

#include <algorithm>
#include <limits>
#include <unordered_set>
#include <utility>
#include <vector>

#include "native/executor/cpp/copy_sized.h"
#include "native/executor/cpp/request_checks.h"
#include "native/tensorrt_llm/config.h"
#include "native/tensorrt_llm/devices.h"
#include "native/tensorrt_llm/engine_fit.h"
#include "native/tensorrt_llm/errors.h"
#include "native/tensorrt_llm/kv_events.h"
#include "native/tensorrt_llm/library.h"
#include "native/tensorrt_llm/mpi.h"
#include "native/tensorrt_llm/responses.h"
#include "native/tensorrt_llm/run_detached.h"

namespace adapter {
namespace {

using executor::Failure;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// awaitResponses cannot be woken from outside, so this is how late an interrupt may be seen while requests run.
constexpr milliseconds kListenTime(50);

bool GathersGenerationLogits(const tle::ExecutorConfig& config, const Engine& engine) {
  bool gathers = engine.gather_generation_logits;
  IfHas(config, [&](const auto& c) -> decltype(void(c.getGatherGenerationLogits())) {
    gathers = c.getGatherGenerationLogits();
  });
  return gathers;
}

Log LogOf(const ExecutorConfig& given) {
  return [on_log = given.on_log, context = given.context](ExecutorLogLevel level, const std::string& line) {
    if (on_log != nullptr) on_log(context, level, line.c_str());
  };
}

// Returns a description of the GPUs that the ranks run on.
std::string CheckDevices(const ExecutorConfig& given, const Engine& engine, const Log& log) {
  const std::optional<std::vector<Device>> devices = FindDevices();
  const std::vector<int> rank_devices = RankDevices(engine, executor::CopySized(given.parallel));
  if (devices) {
    CheckFit(engine, given, *devices, tle::version());
    const std::string doubts = DoubtsOf(engine, rank_devices, *devices);
    if (!doubts.empty()) log(LOG_WARNING, doubts);
  }
  return DeviceText(rank_devices, devices);
}

// For workers to receive the order to end, and to answer.
constexpr milliseconds kStopTime(2000);
constexpr milliseconds kDestroyTime(10'000);
// How often to check that they still run.
constexpr milliseconds kLookPeriod(100);

constexpr char kWorkerEnded[] =
    "A worker process of the engine has ended, and the others with it; what it wrote to standard error says why. "
    "Load the engine again; isolation: 'process' does so by itself.";

// Keeps an executor whose workers have ended: its destructor would wait for their answers.
void Leak(std::shared_ptr<tle::Executor> executor) {
  static std::mutex* const mutex = new std::mutex;
  static auto* const kept = new std::vector<std::shared_ptr<tle::Executor>>;
  const std::lock_guard<std::mutex> lock(*mutex);
  kept->push_back(std::move(executor));
}

std::string WorkersText(const Workers& workers) {
  std::string text;
  for (const pid_t pid : workers.pids()) text += (text.empty() ? "" : ", ") + std::to_string(pid);
  return "Its ranks run in the worker processes " + text + ".";
}

bool Progress(const ExecutorConfig& config, double done) {
  return config.on_progress == nullptr || config.on_progress(config.context, done) != 0;
}

}  // namespace

TensorRtLlmExecutor::TensorRtLlmExecutor(const ExecutorConfig& given)
    : engine_([&] {
        if (given.engine_dir == nullptr)
          throw Failure(EXECUTOR_INVALID_OPTION, "The engine directory is null; expected a path.");
        return ReadEngine(given.engine_dir);
      }()),
      log_(LogOf(given)),
      batch_builder_(engine_.vocab_size),
      reading_(engine_.vocab_size) {
  CheckLibraryVersion();
  CheckEngineVersion(engine_, tle::version());
  device_ = CheckDevices(given, engine_, log_);
  const std::string library_dir = LibraryDir();
  const tle::ExecutorConfig config = MakeExecutorConfig(given, engine_, library_dir);
  limits_.max_seq_len = given.set & CONFIG_MAX_SEQ_LEN ? static_cast<int>(given.max_seq_len) : engine_.max_seq_len;
  limits_.max_num_sequences = static_cast<uint32_t>(config.getMaxBatchSize().value_or(engine_.max_batch_size)) *
                              static_cast<uint32_t>(engine_.pipeline_parallel_size);
  limits_.max_beam_width = static_cast<uint32_t>(config.getMaxBeamWidth());
  ids_ = Ids(limits_.max_num_sequences);
  max_queue_size_ = given.set & CONFIG_MAX_QUEUE_SIZE ? given.max_queue_size : std::numeric_limits<size_t>::max();
  // Without chunks a prompt is computed in one step.
  limits_.max_input_len = limits_.max_seq_len - 1;
  if (!config.getEnableChunkedContext() || !engine_.paged_context_fmha)
    limits_.max_input_len = std::min(limits_.max_input_len, config.getMaxNumTokens().value_or(engine_.max_num_tokens));
  limits_.generation_logits = GathersGenerationLogits(config, engine_);
  for (uint32_t i = 0; i < given.additional_output_count; ++i)
    limits_.additional_outputs[given.additional_outputs[i]] = given.additional_output_context[i] != 0;
  limits_.guided_decoding = given.guided_decoding != nullptr;
  LoadPlugins(library_dir);
  const auto orchestrator = config.getParallelConfig()->getOrchestratorConfig();
  log_(LOG_INFO, "TensorRT-LLM " + std::string(tle::version()) + " in " + library_dir + " loads " + engine_.dir + ": " +
                     (orchestrator ? "orchestrator" : "leader") + " mode, " + std::to_string(engine_.world_size()) +
                     (engine_.world_size() == 1 ? " rank on " : " ranks on ") + device_);
  Loaded loaded = Load(engine_, config, [&](double done) { return Progress(given, done); });
  executor_ = std::move(loaded.executor);
  workers_ = std::move(loaded.workers);
  if (workers_ != nullptr) log_(LOG_INFO, WorkersText(*workers_));
  leads_ = executor_->canEnqueueRequests();
  limits_.kv_events = leads_ && executor::CopySized(given.kv_cache).event_buffer_size > 0 && HasKvEvents(*executor_);
  FillInfo(config);
}

TensorRtLlmExecutor::~TensorRtLlmExecutor() {
  if (workers_ == nullptr) {
    executor_.reset();  // a rank that does not lead waits here for its leader's end
  } else if (workers_gone_ || (!has_stopped_ && workers_->HasOneEnded())) {
    Leak(std::move(executor_));
  } else {
    const auto give_up_at = Clock::now() + kDestroyTime;
    // The thread takes it out of what both have: where none can be started, its destructor, which may not return, runs nowhere.
    const auto held = std::make_shared<std::shared_ptr<tle::Executor>>(std::move(executor_));
    try {
      RunDetached([held] { held->reset(); }, [&] { return Clock::now() < give_up_at; });
    } catch (const executor::Failure&) {
      Leak(std::move(*held));
    }
  }
}

void TensorRtLlmExecutor::FillInfo(const tle::ExecutorConfig& config) {
  info_.size = sizeof(info_);
  info_.vocab_size = static_cast<uint32_t>(engine_.vocab_size);
  info_.capabilities = Capabilities(engine_, limits_);
  info_.name = "tensorrt-llm";
  info_.version = tle::version();
  info_.device = device_.c_str();
  info_.data_type = engine_.dtype.c_str();
  info_.max_batch_size = static_cast<uint32_t>(config.getMaxBatchSize().value_or(engine_.max_batch_size));
  info_.max_num_tokens = static_cast<uint32_t>(config.getMaxNumTokens().value_or(engine_.max_num_tokens));
  info_.max_seq_len = static_cast<uint32_t>(limits_.max_seq_len);
  info_.max_input_len = static_cast<uint32_t>(limits_.max_input_len);
  info_.max_beam_width = limits_.max_beam_width;
  info_.tensor_parallel_size = static_cast<uint32_t>(engine_.tensor_parallel_size);
  info_.tokens_per_block = static_cast<uint32_t>(engine_.tokens_per_block);
  info_.rank = static_cast<uint32_t>(MpirunRank());
}

void TensorRtLlmExecutor::Submit(const ExecutorRequest* const* requests, uint32_t count) {
  if (!leads_)
    throw Failure(EXECUTOR_UNSUPPORTED, "This process is rank " + std::to_string(info_.rank) +
                                            " of the engine; expected the process that leads. Send requests from it: "
                                            "rank 0, or the first of parallel.participantIds.");
  std::vector<tle::Request> made;
  std::vector<Pending> pending;
  std::unordered_set<uint64_t> seen;
  for (uint32_t i = 0; i < count; ++i) {
    MadeRequest request = MakeRequest(executor::CopySized(requests[i]), engine_, limits_);
    made.push_back(std::move(request.request));
    pending.push_back(std::move(request.pending));
  }
  // Held until the library's ids are stored, because a response may arrive before that.
  const Lock lock(mutex_);
  if (failure_) throw *failure_;
  if (closing_) throw Failure(EXECUTOR_CLOSED, executor::kClosedMessage);
  for (const Pending& request : pending)
    if (ids_.Find(request.id) != nullptr || !seen.insert(request.id).second) throw executor::IdInUse(request.id);
  if (const size_t would_wait = ids_.CountQueuedWith(pending); would_wait > max_queue_size_)
    throw executor::QueueFull(would_wait, max_queue_size_);
  std::vector<tle::IdType> library_ids;
  try {
    library_ids = executor_->enqueueRequests(made);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    const Failure failure = FailureOf(error.what(), EXECUTOR_INTERNAL);
    if (failure.code() == EXECUTOR_FAILED) failure_ = failure;
    changed_.notify_all();
    throw failure;
  }
  for (size_t i = 0; i < pending.size(); ++i) {
    pending[i].library_id = library_ids[i];
    ids_.Add(std::move(pending[i]));
  }
  changed_.notify_all();
}

void TensorRtLlmExecutor::Cancel(const uint64_t* ids, uint32_t count) {
  const Lock lock(mutex_);
  for (uint32_t i = 0; i < count; ++i) {
    Pending* const pending = ids_.Find(ids[i]);
    if (pending == nullptr) continue;
    ids_.Cancel(pending);
    CancelInLibrary(*pending);
  }
}

void TensorRtLlmExecutor::CancelInLibrary(const Pending& pending) noexcept {
  try {
    if (!shut_down_) executor_->cancelRequest(pending.library_id);
  } catch (...) {  // the request ends anyway, or with the executor
  }
}

const ExecutorBatch* TensorRtLlmExecutor::Wait(milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  Lock lock(mutex_);
  reading_.Clear();
  for (bool has_listened = false;; has_listened = true) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
    const bool interrupted = std::exchange(interrupted_, false);
    const bool is_idle = ids_.size() == 0;
    if (batch_builder_.empty() && failure_ && is_idle && !interrupted) throw *failure_;
    if (!batch_builder_.empty() || interrupted || (left.count() <= 0 && (is_idle || has_listened))) {
      std::swap(batch_builder_, reading_);
      return reading_.Batch();
    }
    if (is_idle) {
      changed_.wait_until(lock, workers_ == nullptr ? deadline : std::min(deadline, Clock::now() + kLookPeriod));
      if (HasWorkerEnded()) failure_.emplace(EXECUTOR_FAILED, kWorkerEnded);
    } else {
      lock.unlock();
      Listen(std::clamp(left, milliseconds(0), kListenTime));
      lock.lock();
    }
  }
}

void TensorRtLlmExecutor::Listen(milliseconds timeout) {
  const Lock listening(listening_, std::try_to_lock);
  {
    Lock lock(mutex_);
    if (ids_.size() == 0) return;
    if (!listening) {  // another thread is in awaitResponses
      changed_.wait_for(lock, timeout);
      return;
    }
  }
  std::vector<tle::Response> responses;
  std::optional<Failure> failure;
  try {
    responses = executor_->awaitResponses(timeout);
  } catch (const std::exception& error) {
    failure = FailureOf(error.what(), EXECUTOR_FAILED);
  } catch (...) {
    failure.emplace(EXECUTOR_FAILED,
                    "TensorRT-LLM threw something that is not a std::exception. Load the engine again.");
  }
  if (!responses.empty()) {
    const Lock lock(mutex_);
    ++step_;  // that of their rows
  }
  for (const tle::Response& response : responses) Take(response);
  const Lock lock(mutex_);
  if (!failure && HasWorkerEnded()) failure.emplace(EXECUTOR_FAILED, kWorkerEnded);
  if (failure) failure_.emplace(EXECUTOR_FAILED, failure->what());
  if (failure_) EndAllWithFailure();
  changed_.notify_all();
}

void TensorRtLlmExecutor::Take(const tle::Response& response) {
  Pending* pending = nullptr;
  bool cancelled = false;
  {
    const Lock lock(mutex_);
    if (failure_) return;
    pending = ids_.FindFor(response);
    if (response.hasError()) {
      const Failure failure = FailureOf(response.getErrorMsg(), EXECUTOR_INTERNAL);
      if (failure.code() == EXECUTOR_FAILED) failure_ = failure;
      if (failure_ || pending == nullptr) return;
      if (pending->library_ids > 1) CancelInLibrary(*pending);  // its other sequences
      return EndWithError(pending, failure);
    }
    if (pending == nullptr) return;  // its request has ended
    cancelled = pending->cancelled;
  }
  // Without the lock: logprobs of a long prompt take a while, and submit must not wait for them.
  std::vector<BatchRow> rows;
  std::optional<Failure> failure;
  try {
    rows = RowsOf(response.getResult(), engine_, cancelled, pending);
  } catch (const Failure& refused) {
    failure = refused;
  } catch (const std::exception& error) {
    failure = FailureOf(error.what(), EXECUTOR_INTERNAL);
  }
  const Lock lock(mutex_);
  const bool is_final = response.getResult().isFinal;
  if (failure) {
    if (!is_final) CancelInLibrary(*pending);
    return EndWithError(pending, *failure);
  }
  for (BatchRow& row : rows) batch_builder_.Add(std::move(row), step_);
  if (!is_final) return;
  ++completed_requests_;
  ids_.Remove(pending);
}

void TensorRtLlmExecutor::EndWithError(Pending* pending, const Failure& failure) {
  batch_builder_.Add(ErrorRow(failure, *pending), step_);
  ++completed_requests_;
  ids_.Remove(pending);
}

void TensorRtLlmExecutor::EndAllWithFailure() {
  const Failure failure(EXECUTOR_FAILED, failure_->what());
  ids_.ForEach([&](const Pending* pending) { batch_builder_.Add(ErrorRow(failure, *pending), step_); });
  completed_requests_ += ids_.size();
  ids_.Clear();
}

void TensorRtLlmExecutor::Interrupt() noexcept {
  const Lock lock(mutex_);
  interrupted_ = true;
  changed_.notify_all();
}

void TensorRtLlmExecutor::Stats(ExecutorStats* stats) {
  const Lock lock(mutex_);
  if (shut_down_ || !leads_) return;
  try {
    *stats = stats_.Read(executor_.get(), &ids_, completed_requests_);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    throw FailureOf(error.what(), EXECUTOR_INTERNAL);
  }
}

const ExecutorKvEvents* TensorRtLlmExecutor::KvEvents() {
  std::deque<executor::OwnedKvEvent> events;
  try {
    const Lock lock(mutex_);
    if (!shut_down_) events = TakeKvEvents(*executor_);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    throw FailureOf(error.what(), EXECUTOR_INTERNAL);
  }
  return kv_events_.Give(std::move(events));
}

bool TensorRtLlmExecutor::HasWorkerEnded() {
  const auto now = Clock::now();
  if (workers_ == nullptr || shut_down_ || now - looked_at_workers_ < kLookPeriod) return false;
  looked_at_workers_ = now;
  const bool were_gone = std::exchange(workers_gone_, workers_->HasOneEnded());
  if (workers_gone_ && !were_gone) log_(LOG_ERROR, kWorkerEnded);
  return workers_gone_;
}

void TensorRtLlmExecutor::StopLibrary(Clock::time_point deadline) {
  if (workers_ == nullptr) return executor_->shutdown();
  has_stopped_ = RunDetached(
      [executor = executor_]() mutable {
        executor->shutdown();
        executor.reset();
      },
      [&] { return Clock::now() < deadline; });
  if (has_stopped_) return;
  workers_gone_ = true;
  failure_.emplace(EXECUTOR_FAILED, kWorkerEnded);
}

void TensorRtLlmExecutor::Shutdown(milliseconds deadline) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  {
    const Lock lock(mutex_);
    closing_ = true;
    ids_.ForEach([&](Pending* pending) {
      ids_.Cancel(pending);
      CancelInLibrary(*pending);
    });
  }
  // The engine sends nothing after its shutdown, so the ends of cancelled requests are read before it.
  const auto has_ended = [&] {
    const Lock lock(mutex_);
    return ids_.size() == 0;
  };
  while (!has_ended() && std::chrono::steady_clock::now() < end) Listen(milliseconds(10));
  // shutdown() would wait for requests that still run. Leave it to the destructor then, as for a rank that does not lead.
  if (!has_ended() || !leads_) return;
  const Lock listening(listening_);
  const Lock lock(mutex_);
  shut_down_ = true;
  if (!failure_) StopLibrary(std::max(end, Clock::now() + kStopTime));
  changed_.notify_all();
}

}  // namespace adapter
