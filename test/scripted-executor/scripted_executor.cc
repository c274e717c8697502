// An executor without a model, for what a real one does rarely or never: a chosen rate, late and doubled finals, rows of
// requests that never were, a throw from each function. Token j of a request's sequence i is the letter
// 'a' + (last prompt token + i + j) % 26, so a reader knows its text beforehand. A beam, before it has ended, is of other
// letters: those of the beam after it. With `echo` the tokens are those that the prompt says. A tensor that a request asks for has the tokens of each row.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "native/executor/cpp/failure.h"
#include "native/executor/cpp/request_checks.h"
#include "native/executor/cpp/table_of.h"
#include "native/executor/executor.h"
#include "script.h"
#include "tell.h"

namespace scripted {
namespace {

using Clock = std::chrono::steady_clock;
constexpr uint32_t kVocabSize = 259;  // the tiny model's
constexpr uint64_t kUnknownId = uint64_t{1} << 40;

struct Sequence {
  uint32_t next_letter;
  uint64_t left;       // tokens
  uint64_t given = 0;  // tokens
  bool ended = false;
};

struct Request {
  uint32_t prompt_tokens;
  std::vector<Sequence> sequences;
  std::vector<int32_t> end_ids;
  std::vector<int32_t> says;  // and then an end token; empty: letters
  std::vector<std::string> additional_outputs;
  bool has_beams;
  bool fails;
  bool is_endless;  // its logits
  size_t running;   // sequences
  Clock::time_point submitted;
  Clock::duration queued{};
  bool cancelled = false;
  bool admitted = false;
  bool started = false;
};

// What a row is of.
struct RowKey {
  uint64_t id;
  uint32_t sequence;
};

constexpr int32_t kFirstSaid = 2, kLastSaid = 3;  // around what an answer says

int32_t TokenAt(uint64_t place, const std::vector<int32_t>& says) {
  if (says.empty()) return static_cast<int32_t>('a' + place % 26);
  return place < says.size() ? says[place] : kVocabSize - 1;
}

// The arrays of an ExecutorBatch.
class Rows {
 public:
  void Begin() {
    ids_.clear();
    sequences_.clear();
    finish_.clear();
    flags_.clear();
    tokens_.clear();
    offsets_.assign(1, 0);
    details_.clear();
    details_memory_.clear();
    errors_.clear();
    tensors_.clear();
  }
  void Add(RowKey key, uint64_t place, uint64_t tokens, ExecutorFinish finish, uint32_t flags,
           const std::vector<int32_t>& says = {}) {
    for (uint64_t i = 0; i < tokens; ++i) tokens_.push_back(TokenAt(place + i, says));
    ids_.push_back(key.id);
    sequences_.push_back(key.sequence);
    offsets_.push_back(static_cast<uint32_t>(tokens_.size()));
    finish_.push_back(static_cast<uint8_t>(finish));
    flags_.push_back(static_cast<uint8_t>(flags));
    details_.push_back(nullptr);
  }
  // These are of the row that was added last.
  void AddUsage(uint32_t prompt_tokens, std::chrono::duration<double, std::milli> queued) {
    ExecutorRowDetails& details = Details();
    details.set |= DETAILS_USAGE | DETAILS_TIMING;
    details.prompt_tokens = prompt_tokens;
    details.queue_ms = queued.count();
  }
  void AddStopToken(int32_t token) {
    ExecutorRowDetails& details = Details();
    details.set |= DETAILS_STOP_TOKEN;
    details.stop_token = token;
  }
  void AddEndlessLogits() {
    static const float kLogit = 0;
    static const ExecutorTensor kEndless = {&kLogit, DATA_TYPE_FLOAT32, 2, {UINT32_MAX, kVocabSize, 0, 0}};
    Details().context_logits = &kEndless;
  }
  void AddTensors(const std::vector<std::string>& names) {
    if (names.empty()) return;
    auto& memory = tensors_.emplace_back(std::make_unique<Tensors>());
    memory->names = names;  // the sequence may end with this batch
    memory->tokens.assign(tokens_.begin() + offsets_[offsets_.size() - 2], tokens_.end());
    for (const std::string& name : memory->names)
      memory->named.push_back(
          {name.c_str(),
           {memory->tokens.data(), DATA_TYPE_INT32, 1, {static_cast<int64_t>(memory->tokens.size()), 0, 0, 0}}});
    ExecutorRowDetails& details = Details();
    details.additional_outputs = memory->named.data();
    details.additional_output_count = static_cast<uint32_t>(names.size());
  }
  void AddError(const char* message) {
    auto& error = errors_.emplace_back(std::make_unique<ExecutorError>());
    error->size = sizeof(ExecutorError);
    executor::Report(error.get(), EXECUTOR_OUT_OF_MEMORY, message, ids_.back());
    Details().error = error.get();
  }
  const ExecutorBatch* Batch(uint64_t step) {
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
  struct Tensors {
    std::vector<std::string> names;
    std::vector<int32_t> tokens;
    std::vector<ExecutorNamedTensor> named;
  };

  ExecutorRowDetails& Details() {
    if (details_.back() != nullptr) return *details_memory_.back();
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
  std::vector<std::unique_ptr<Tensors>> tensors_;
  ExecutorBatch batch_{};
};

class ScriptedExecutor {
 public:
  explicit ScriptedExecutor(const ExecutorConfig& config)
      : script_(ReadScript(config.engine_dir)),
        on_progress_(config.on_progress),
        on_log_(config.on_log),
        context_(config.context) {
    const auto given = [&](uint32_t bit, uint32_t value, uint32_t otherwise) {
      return config.set & bit ? value : otherwise;
    };
    info_.size = sizeof(info_);
    info_.vocab_size = kVocabSize;
    info_.name = "scripted";
    info_.version = "1";
    info_.device = "none";
    info_.data_type = "none";
    info_.capabilities = script_.capabilities;
    info_.max_batch_size = given(CONFIG_MAX_BATCH_SIZE, config.max_batch_size, 4096);
    info_.max_num_tokens = 1u << 20;
    info_.max_seq_len = given(CONFIG_MAX_SEQ_LEN, config.max_seq_len, 1u << 20);
    max_queue_size_ = given(CONFIG_MAX_QUEUE_SIZE, config.max_queue_size, UINT32_MAX);
    info_.max_input_len = info_.max_seq_len - 1;
    info_.max_beam_width = given(CONFIG_MAX_BEAM_WIDTH, config.max_beam_width, 1);
    info_.tensor_parallel_size = 1;
    Tell("config", &config);
    Load();
  }
  ~ScriptedExecutor() { Log(LOG_INFO, "scripted destroy"); }
  ScriptedExecutor(const ScriptedExecutor&) = delete;
  ScriptedExecutor& operator=(const ScriptedExecutor&) = delete;

  const ExecutorInfo* info() {
    Enter("describe");
    return &info_;
  }

  void Submit(const ExecutorRequest* const* requests, uint32_t count) {
    Enter("submit");
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<Request> made;
    for (uint32_t i = 0; i < count; ++i) {
      Tell("request", requests[i]);
      made.push_back(MakeRequest(*requests[i]));
    }
    if (waiting_.size() + count > max_queue_size_)
      throw executor::OptionFailure(EXECUTOR_QUEUE_FULL, "max_queue_size", " is " + std::to_string(max_queue_size_));
    for (uint32_t i = 0; i < count; ++i) {
      const uint64_t number = ++submitted_;
      made[i].fails = script_.fail_every > 0 && number % script_.fail_every == 0;
      made[i].is_endless = script_.endless_logits_every > 0 && number % script_.endless_logits_every == 0;
      requests_[requests[i]->id] = std::move(made[i]);
      waiting_.push_back(requests[i]->id);
    }
    changed_.notify_all();
  }

  void Cancel(const uint64_t* ids, uint32_t count) {
    Enter("cancel");
    if (script_.tell && on_log_ != nullptr) on_log_(context_, LOG_DEBUG, ("cancel " + std::to_string(count)).c_str());
    const std::lock_guard<std::mutex> lock(mutex_);
    for (uint32_t i = 0; i < count && !script_.deaf; ++i) {
      if (const auto found = requests_.find(ids[i]); found != requests_.end()) found->second.cancelled = true;
    }
    changed_.notify_all();
  }

  const ExecutorBatch* Wait(std::chrono::milliseconds timeout) {
    Enter("wait");
    std::unique_lock<std::mutex> lock(mutex_);
    rows_.Begin();
    const auto has_work = [this] { return interrupted_ || !requests_.empty() || !ended_.empty(); };
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
    Enter("stats");
    const std::lock_guard<std::mutex> lock(mutex_);
    stats->queued_requests = static_cast<uint32_t>(waiting_.size());
    stats->active_requests = static_cast<uint32_t>(requests_.size() - waiting_.size());
    stats->completed_requests = completed_;
    stats->steps = steps_;
  }

  void Shutdown(std::chrono::milliseconds /*deadline*/) { Enter("shutdown"); }

 private:
  void Load() {
    for (const ExecutorLogLevel level : {LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG}) Log(level, "scripted create");
    Enter("create");
    std::this_thread::sleep_for(std::chrono::milliseconds(script_.silent_ms));
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

  template <typename Struct>
  void Tell(const std::string& what, const Struct* given) const {
    if (!script_.tell || on_log_ == nullptr) return;
    on_log_(context_, LOG_DEBUG, (what + " " + scripted::Tell(given)).c_str());
  }

  // Counts the call of a table function, and throws where the script says so.
  void Enter(const std::string& function) {
    if (function != script_.throw_in || submitted_ < script_.throw_at_requests) return;
    if (++calls_ == script_.throw_at_call) throw std::runtime_error("scripted throw in " + function);
  }

  Request MakeRequest(const ExecutorRequest& request) const {
    using executor::Failure;
    if (request.type == REQUEST_EMBEDDING)
      throw Failure(EXECUTOR_UNSUPPORTED, "it has no embeddings", request.id).About("pooling");
    if (request.token_count == 0) throw Failure(EXECUTOR_EMPTY_PROMPT, "the prompt has no tokens", request.id);
    if (request.token_count > info_.max_input_len)
      throw Failure(EXECUTOR_PROMPT_TOO_LONG, "max_input_len is " + std::to_string(info_.max_input_len), request.id);
    for (uint32_t i = 0; i < request.token_count; ++i) {
      if (request.tokens[i] < 0 || request.tokens[i] >= static_cast<int32_t>(kVocabSize))
        throw Failure(EXECUTOR_INVALID_INPUT, "token " + std::to_string(request.tokens[i]) + " is none", request.id);
    }
    const ExecutorSampling* sampling = request.sampling;
    const auto asked_for = executor::SequencesAskedFor(executor::CopySized(sampling));
    const uint32_t sequences = asked_for ? asked_for->count : 1;
    if (sequences > info_.max_batch_size)
      throw executor::OptionFailure(EXECUTOR_INVALID_OPTION, asked_for->field,
                                    "; maxBatchSize is " + std::to_string(info_.max_batch_size))
          .OfRequest(request.id);
    const int32_t* const end = request.tokens + request.token_count;
    const uint64_t left = std::min(request.max_tokens, info_.max_seq_len - request.token_count);
    Request made{};
    made.prompt_tokens = request.token_count;
    if (script_.echo) {
      const int32_t* const first = std::find(request.tokens, end, kFirstSaid);
      if (first != end) made.says.assign(first + 1, std::find(first, end, kLastSaid));
    }
    for (uint32_t i = 0; i < sequences; ++i)
      made.sequences.push_back({made.says.empty() ? static_cast<uint32_t>(end[-1]) + i : 0, left});
    made.end_ids.assign(request.end_ids, request.end_ids + request.end_id_count);
    made.has_beams = sampling != nullptr && (sampling->set & SAMPLING_BEAM_WIDTH) && sampling->beam_width > 1;
    if (request.output != nullptr)
      made.additional_outputs.assign(request.output->additional_outputs,
                                     request.output->additional_outputs + request.output->additional_output_count);
    made.running = sequences;
    made.submitted = Clock::now();
    return made;
  }

  void Step() {
    ++steps_;
    for (const auto& [key, flags] : ended_) {
      if (script_.late_rows) rows_.Add(key, 0, 3, FINISH_NONE, 0);
      if (script_.doubled_finals) rows_.Add(key, 0, 2, FINISH_LENGTH, flags);
    }
    ended_.clear();
    if (script_.unknown_rows && !requests_.empty())
      rows_.Add({kUnknownId + steps_, 0}, 0, 1, FINISH_LENGTH, ROW_SEQUENCE_FINAL | ROW_REQUEST_FINAL);
    Admit();
    for (auto next = requests_.begin(); next != requests_.end();) {
      auto& [id, request] = *next;
      if (request.admitted) StepRequest(id, &request);
      if (request.running > 0) {
        ++next;
      } else {
        running_sequences_ -= request.sequences.size();
        ++completed_;
        next = requests_.erase(next);
      }
    }
  }

  // First come, first served; a cancelled request need not wait for a place, since it ends in this step.
  void Admit() {
    bool has_room = true;
    for (auto next = waiting_.begin(); next != waiting_.end();) {
      Request& request = requests_[*next];
      has_room = has_room && running_sequences_ + request.sequences.size() <= info_.max_batch_size;
      request.admitted = has_room || request.cancelled;
      if (request.admitted) running_sequences_ += request.sequences.size();
      next = request.admitted ? waiting_.erase(next) : next + 1;
    }
  }

  void StepRequest(uint64_t id, Request* request) {
    const bool first = !std::exchange(request->started, true);
    if (first) request->queued = Clock::now() - request->submitted;
    if (request->fails && !first) {
      rows_.Add({id, 0}, 0, 0, FINISH_ERROR, ROW_SEQUENCE_FINAL | ROW_REQUEST_FINAL);
      rows_.AddError("scripted failure of this request");
      request->running = 0;
    }
    for (uint32_t i = 0; i < request->sequences.size() && request->running > 0; ++i) {
      if (!request->sequences[i].ended) StepSequence({id, i}, request);
      if ((first && i == 0) || request->running == 0) rows_.AddUsage(request->prompt_tokens, request->queued);
      if (first && i == 0 && request->is_endless) rows_.AddEndlessLogits();
    }
  }

  void StepSequence(RowKey key, Request* request) {
    Sequence& sequence = request->sequences[key.sequence];
    const auto is_end = [&](int32_t token) {
      return std::find(request->end_ids.begin(), request->end_ids.end(), token) != request->end_ids.end();
    };
    const uint64_t wanted = request->cancelled ? 0 : std::min(script_.tokens_per_step, sequence.left);
    uint64_t tokens = 0;
    while (tokens < wanted && !is_end(TokenAt(sequence.next_letter + tokens, request->says))) ++tokens;
    sequence.left -= tokens;
    const ExecutorFinish finish = tokens < wanted      ? FINISH_END_ID
                                  : request->cancelled ? FINISH_CANCELLED
                                  : sequence.left == 0 ? FINISH_LENGTH
                                                       : FINISH_NONE;
    sequence.ended = finish != FINISH_NONE;
    if (sequence.ended) --request->running;
    uint32_t flags = 0;
    if (sequence.ended) flags |= ROW_SEQUENCE_FINAL;
    if (request->running == 0) flags |= ROW_REQUEST_FINAL;
    sequence.given += tokens;
    if (request->has_beams) {
      const uint64_t shift = sequence.ended ? 0 : 1;
      rows_.Add(key, sequence.next_letter + tokens - sequence.given + shift, sequence.given, finish,
                flags | ROW_REPLACES_TOKENS);
    } else {
      rows_.Add(key, sequence.next_letter, tokens, finish, flags, request->says);
    }
    rows_.AddTensors(request->additional_outputs);
    sequence.next_letter += static_cast<uint32_t>(tokens);
    if (finish == FINISH_END_ID) rows_.AddStopToken(TokenAt(sequence.next_letter, request->says));
    if (sequence.ended && (script_.late_rows || script_.doubled_finals)) ended_.emplace_back(key, flags);
  }

  const Script script_;
  decltype(ExecutorConfig::on_progress) const on_progress_;
  decltype(ExecutorConfig::on_log) const on_log_;
  void* const context_;  // of both
  ExecutorInfo info_{};
  std::vector<char> memory_;
  uint32_t max_queue_size_;
  std::atomic<uint64_t> calls_{0};
  std::mutex mutex_;  // of everything below
  std::condition_variable changed_;
  std::unordered_map<uint64_t, Request> requests_;
  std::deque<uint64_t> waiting_;  // of them, those that no step has had
  uint64_t running_sequences_ = 0;
  std::vector<std::pair<RowKey, uint32_t>> ended_;  // what late and doubled rows come for, with its flags
  std::atomic<uint64_t> submitted_{0};
  uint64_t completed_ = 0;
  uint64_t steps_ = 0;
  bool interrupted_ = false;
  Clock::time_point next_step_ = Clock::now();
  Rows rows_;
};

}  // namespace
}  // namespace scripted

extern "C" __attribute__((visibility("default"))) const ExecutorTable* executor_table(uint32_t abi_version) {
  static constexpr ExecutorTable kTable = [] {
    ExecutorTable table = executor::TableOf<scripted::ScriptedExecutor>("scripted");
    table.size = offsetof(ExecutorTable, kv_events);  // as one that was built before it
    return table;
  }();
  return abi_version == EXECUTOR_ABI_VERSION ? &kTable : nullptr;
}
