// An executor without a model, for what a real one does rarely or never: a chosen rate, late and doubled finals, rows of
// requests that never were, a throw from each function. Token j of a request is the letter 'a' + (last prompt token + j) % 26,
// so a reader knows its text beforehand.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "executor/executor.h"
#include "executor/guard.h"
#include "script.h"

namespace scripted {
namespace {

using Clock = std::chrono::steady_clock;
constexpr uint32_t kVocabSize = 259;  // the tiny model's
constexpr uint64_t kUnknownId = uint64_t{1} << 40;

struct Running {
  uint32_t prompt_tokens;
  uint32_t next_letter;
  uint64_t left;  // tokens
  bool fails;
  bool cancelled = false;
  bool started = false;
};

// The arrays of an ExecutorBatch.
class Rows {
 public:
  void Begin() {
    ids_.clear();
    finish_.clear();
    flags_.clear();
    tokens_.clear();
    offsets_.assign(1, 0);
    details_.clear();
    details_memory_.clear();
    errors_.clear();
  }
  void Add(uint64_t id, uint32_t letter, uint64_t tokens, ExecutorFinish finish) {
    for (uint64_t i = 0; i < tokens; ++i) tokens_.push_back(static_cast<int32_t>('a' + (letter + i) % 26));
    ids_.push_back(id);
    offsets_.push_back(static_cast<uint32_t>(tokens_.size()));
    finish_.push_back(static_cast<uint8_t>(finish));
    flags_.push_back(finish == FINISH_NONE ? 0 : ROW_SEQUENCE_FINAL | ROW_REQUEST_FINAL);
    details_.push_back(nullptr);
  }
  void AddUsage(uint32_t prompt_tokens) {
    ExecutorRowDetails& details = Details();
    details.set = DETAILS_USAGE | DETAILS_TIMING;
    details.prompt_tokens = prompt_tokens;
  }
  void AddEndlessLogits() {
    static const float kLogit = 0;
    static const ExecutorTensor kEndless = {&kLogit, DATA_TYPE_FLOAT32, 2, {1 << 30, 1 << 30, 0, 0}};
    Details().generation_logits = &kEndless;
  }
  void AddError(const char* message) {
    auto& error = errors_.emplace_back(std::make_unique<ExecutorError>());
    error->size = sizeof(ExecutorError);
    executor::Report(error.get(), EXECUTOR_OUT_OF_MEMORY, message, ids_.back());
    Details().error = error.get();
  }
  const ExecutorBatch* Batch(uint64_t step) {
    sequences_.assign(ids_.size(), 0);
    batch_ = {};
    batch_.size = sizeof(batch_);
    batch_.row_count = static_cast<uint32_t>(ids_.size());
    batch_.step = step;
    batch_.request_ids = ids_.data();
    batch_.sequences = sequences_.data();
    batch_.finish = finish_.data();
    batch_.flags = flags_.data();
    batch_.token_offsets = offsets_.data();
    batch_.tokens = tokens_.data();
    if (!details_memory_.empty()) batch_.details = details_.data();
    return &batch_;
  }

 private:
  ExecutorRowDetails& Details() {
    auto& details = details_memory_.emplace_back(std::make_unique<ExecutorRowDetails>());
    details->size = sizeof(ExecutorRowDetails);
    details_.back() = details.get();
    return *details;
  }

  std::vector<uint64_t> ids_;
  std::vector<uint32_t> sequences_;
  std::vector<uint8_t> finish_, flags_;
  std::vector<uint32_t> offsets_;
  std::vector<int32_t> tokens_;
  std::vector<const ExecutorRowDetails*> details_;
  std::vector<std::unique_ptr<ExecutorRowDetails>> details_memory_;
  std::vector<std::unique_ptr<ExecutorError>> errors_;
  ExecutorBatch batch_{};
};

class ScriptedExecutor {
 public:
  ScriptedExecutor(Script script, const ExecutorConfig& config)
      : script_(std::move(script)), on_progress_(config.on_progress), on_log_(config.on_log), context_(config.context) {
    info_.size = sizeof(info_);
    info_.vocab_size = kVocabSize;
    info_.name = "scripted";
    info_.version = "1";
    info_.device = "none";
    info_.data_type = "none";
    info_.max_batch_size = 4096;
    info_.max_num_tokens = 1u << 20;
    info_.max_seq_len = 1u << 20;
    info_.max_input_len = info_.max_seq_len - 1;
    info_.max_beam_width = 1;
    info_.tensor_parallel_size = 1;
  }

  const ExecutorInfo* info() const { return &info_; }

  void Load() {
    for (const ExecutorLogLevel level : {LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG}) Log(level, "scripted create");
    Enter("create");
    memory_.assign(script_.memory_mb << 20, 1);
    for (uint64_t ms = 0; ms < script_.load_ms; ++ms) {
      const double done = static_cast<double>(ms) / static_cast<double>(script_.load_ms);
      if (on_progress_ != nullptr && on_progress_(context_, done) == 0)
        throw executor::Failure(EXECUTOR_LOAD_ABORTED, "loading was given up");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  void Log(ExecutorLogLevel level, const char* message) const {
    if (script_.log && on_log_ != nullptr) on_log_(context_, level, message);
  }

  // Counts the call of a table function, and throws where the script says so.
  void Enter(const std::string& function) {
    if (function != script_.throw_in) return;
    if (++calls_ == script_.throw_at_call) throw std::runtime_error("scripted throw in " + function);
  }

  void Submit(const ExecutorRequest* const* requests, uint32_t count) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (uint32_t i = 0; i < count; ++i) {
      const ExecutorRequest& request = *requests[i];
      if (request.token_count == 0)
        throw executor::Failure(EXECUTOR_EMPTY_PROMPT, "the prompt has no tokens", request.id);
      const bool fails = script_.fail_every > 0 && ++submitted_ % script_.fail_every == 0;
      const auto letter = static_cast<uint32_t>(request.tokens[request.token_count - 1]) % 26;
      running_[request.id] = {request.token_count, letter, request.max_tokens, fails};
    }
    changed_.notify_all();
  }

  void Cancel(const uint64_t* ids, uint32_t count) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (uint32_t i = 0; i < count && !script_.deaf; ++i) {
      if (const auto found = running_.find(ids[i]); found != running_.end()) found->second.cancelled = true;
    }
    changed_.notify_all();
  }

  const ExecutorBatch* Wait(std::chrono::milliseconds timeout) {
    std::unique_lock<std::mutex> lock(mutex_);
    rows_.Begin();
    const auto has_work = [this] { return interrupted_ || !running_.empty() || !ended_.empty(); };
    changed_.wait_for(lock, timeout, has_work);
    if (script_.step_ms > 0) {
      changed_.wait_until(lock, next_step_, [this] { return interrupted_; });
      next_step_ = Clock::now() + std::chrono::milliseconds(script_.step_ms);
    }
    if (!interrupted_) Step();
    interrupted_ = false;
    return rows_.Batch(steps_);
  }

  void Interrupt() {
    const std::lock_guard<std::mutex> lock(mutex_);
    interrupted_ = true;
    changed_.notify_all();
  }

  void Stats(ExecutorStats* stats) {
    const std::lock_guard<std::mutex> lock(mutex_);
    stats->active_requests = static_cast<uint32_t>(running_.size());
    stats->steps = steps_;
  }

 private:
  void Step() {
    ++steps_;
    for (const uint64_t id : ended_) {
      if (script_.late_rows) rows_.Add(id, 0, 3, FINISH_NONE);
      if (script_.doubled_finals) rows_.Add(id, 0, 2, FINISH_LENGTH);
    }
    ended_.clear();
    if (script_.unknown_rows && !running_.empty()) rows_.Add(kUnknownId + steps_, 0, 1, FINISH_LENGTH);
    for (auto next = running_.begin(); next != running_.end();) {
      auto& [id, request] = *next;
      const bool first = !std::exchange(request.started, true);
      const bool fails = request.fails && !first;
      const uint64_t tokens = fails || request.cancelled ? 0 : std::min(script_.tokens_per_step, request.left);
      request.left -= tokens;
      const ExecutorFinish finish = fails               ? FINISH_ERROR
                                    : request.cancelled ? FINISH_CANCELLED
                                    : request.left == 0 ? FINISH_LENGTH
                                                        : FINISH_NONE;
      rows_.Add(id, request.next_letter, tokens, finish);
      request.next_letter += static_cast<uint32_t>(tokens);
      if (first) rows_.AddUsage(request.prompt_tokens);
      if (first && script_.endless_logits) rows_.AddEndlessLogits();
      if (fails) rows_.AddError("scripted failure of this request");
      if (finish == FINISH_NONE) {
        ++next;
      } else {
        if (script_.late_rows || script_.doubled_finals) ended_.push_back(id);
        next = running_.erase(next);
      }
    }
  }

  const Script script_;
  decltype(ExecutorConfig::on_progress) const on_progress_;
  decltype(ExecutorConfig::on_log) const on_log_;
  void* const context_;  // of both
  ExecutorInfo info_{};
  std::vector<char> memory_;
  std::atomic<uint64_t> calls_{0};
  std::mutex mutex_;  // of everything below
  std::condition_variable changed_;
  std::unordered_map<uint64_t, Running> running_;
  std::vector<uint64_t> ended_;  // what late and doubled rows come for
  uint64_t submitted_ = 0;
  uint64_t steps_ = 0;
  bool interrupted_ = false;
  Clock::time_point next_step_ = Clock::now();
  Rows rows_;
};

ScriptedExecutor* Of(Executor* executor) { return reinterpret_cast<ScriptedExecutor*>(executor); }

ExecutorCode Create(const ExecutorConfig* config, Executor** executor, ExecutorError* error) noexcept {
  return executor::Guarded(error, [&] {
    *executor = nullptr;
    auto made = std::make_unique<ScriptedExecutor>(ReadScript(config->engine_dir), *config);
    made->Load();
    *executor = reinterpret_cast<Executor*>(made.release());
  });
}

ExecutorCode Describe(Executor* executor, const ExecutorInfo** info, ExecutorError* error) noexcept {
  return executor::Guarded(error, [&] {
    Of(executor)->Enter("describe");
    *info = Of(executor)->info();
  });
}

ExecutorCode Submit(Executor* executor, const ExecutorRequest* const* requests, uint32_t count,
                    ExecutorError* error) noexcept {
  return executor::Guarded(error, [&] {
    Of(executor)->Enter("submit");
    Of(executor)->Submit(requests, count);
  });
}

ExecutorCode Cancel(Executor* executor, const uint64_t* ids, uint32_t count, ExecutorError* error) noexcept {
  return executor::Guarded(error, [&] {
    Of(executor)->Enter("cancel");
    Of(executor)->Cancel(ids, count);
  });
}

ExecutorCode Wait(Executor* executor, uint32_t timeout_ms, const ExecutorBatch** batch, ExecutorError* error) noexcept {
  return executor::Guarded(error, [&] {
    Of(executor)->Enter("wait");
    *batch = Of(executor)->Wait(std::chrono::milliseconds(timeout_ms));
  });
}

void Interrupt(Executor* executor) noexcept { Of(executor)->Interrupt(); }

ExecutorCode Stats(Executor* executor, ExecutorStats* stats, ExecutorError* error) noexcept {
  return executor::Guarded(error, [&] {
    Of(executor)->Enter("stats");
    Of(executor)->Stats(stats);
  });
}

ExecutorCode Shutdown(Executor* executor, uint32_t /*deadline_ms*/, ExecutorError* error) noexcept {
  return executor::Guarded(error, [&] { Of(executor)->Enter("shutdown"); });
}

void Destroy(Executor* executor) noexcept {
  const std::unique_ptr<ScriptedExecutor> last(Of(executor));
  last->Log(LOG_INFO, "scripted destroy");
}

const ExecutorTable kTable = {sizeof(ExecutorTable),
                              EXECUTOR_ABI_VERSION,
                              "scripted",
                              Create,
                              Describe,
                              Submit,
                              Cancel,
                              Wait,
                              Interrupt,
                              Stats,
                              Shutdown,
                              Destroy};

}  // namespace
}  // namespace scripted

extern "C" __attribute__((visibility("default"))) const ExecutorTable* executor_table(uint32_t abi_version) {
  return abi_version == EXECUTOR_ABI_VERSION ? &scripted::kTable : nullptr;
}
