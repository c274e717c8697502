#include "native/isolation/proxy.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "native/executor/cpp/batch_check.h"
#include "native/executor/cpp/copy_sized.h"
#include "native/executor/cpp/request_checks.h"
#include "native/executor/cpp/start_thread.h"
#include "native/executor/cpp/until_memory_suffices.h"
#include "native/isolation/batch_slice.h"
#include "native/isolation/config_fields.h"
#include "native/isolation/ended_rows.h"
#include "native/isolation/request_fields.h"
#include "native/isolation/response_fields.h"

namespace isolation {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr auto kFirstBackoff = milliseconds(500);
constexpr auto kLongestBackoff = milliseconds(30'000);
// How often a load calls on_progress, which may abort it.
constexpr auto kProgressPeriod = milliseconds(50);
constexpr auto kStopGrace = milliseconds(2000);
// Of a shutdown's time, what the host's answer takes.
constexpr auto kShutdownGrace = milliseconds(500);
// stats() runs on the event loop, which a host that hangs must not block for longer.
constexpr auto kStatsTimeout = milliseconds(1000);
// If the reader is slower, the host waits, and with it its executor.
constexpr size_t kMaxArrived = 16;

Bytes EncodeConfig(const ExecutorConfig& config, const std::string& library) {
  return Encode(MessageType::kCreate, HostConfig{library.c_str(), &config});
}

ExecutorConfig CallbacksOf(const ExecutorConfig& config) {
  ExecutorConfig callbacks{};
  callbacks.on_progress = config.on_progress;
  callbacks.on_log = config.on_log;
  callbacks.context = config.context;
  return callbacks;
}

}  // namespace

Proxy::Proxy(const ExecutorConfig& config, std::string program, const std::string& library,
             std::vector<std::string> environment)
    : program_(std::move(program)),
      environment_(std::move(environment)),
      create_message_(EncodeConfig(config, library)),
      callbacks_(CallbacksOf(config)),
      max_waiting_((config.set & CONFIG_MAX_QUEUE_SIZE) != 0 ? config.max_queue_size : UINT32_MAX),
      max_kv_events_(executor::CopySized(config.kv_cache).event_buffer_size),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      backoff_(kFirstBackoff),
      no_rows_(EndedRows({}, FINISH_NONE)) {
  if (wake_.get() == -1) {
    throw executor::Failure(EXECUTOR_UNAVAILABLE,
                            "No file descriptor is left; expected one, for the host process of isolation: 'process'. "
                            "Close files, or raise the limit (ulimit -n).");
  }
  supervisor_ = executor::StartThread([this] { Supervise(); });
  if (WaitForLoad()) return;
  Stop();
  throw load_failure_.value_or(executor::Failure(EXECUTOR_LOAD_ABORTED, executor::kLoadAbortedMessage));
}

Proxy::~Proxy() { Stop(); }

bool Proxy::WaitForLoad() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (info_ == nullptr && state_ == State::kLoading) {
    changed_.wait_for(lock, kProgressPeriod);
    if (callbacks_.on_progress == nullptr) continue;
    const double done = load_done_;
    lock.unlock();
    const bool goes_on = callbacks_.on_progress(callbacks_.context, done) != 0;
    lock.lock();
    if (goes_on || stop_) continue;
    stop_ = true;
    Wake();
  }
  return info_ != nullptr && !stop_;
}

void Proxy::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  Wake();
  supervisor_.join();
}

void Proxy::Submit(const ExecutorRequest* const* requests, uint32_t count) {
  std::vector<Waiting> messages;
  for (uint32_t i = 0; i < count; ++i) {
    messages.push_back({requests[i]->id, Encode(MessageType::kSubmit, *requests[i])});
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) throw executor::Failure(EXECUTOR_CLOSED, executor::kClosedMessage);
  if (state_ == State::kReady && !executor_failed_) {
    size_t sent = 0;
    try {
      for (; sent < messages.size(); ++sent) {
        running_.insert(messages[sent].id);
        outgoing_.push_back(std::move(messages[sent].message));
      }
    } catch (...) {  // all or none
      outgoing_.erase(outgoing_.end() - static_cast<std::ptrdiff_t>(sent), outgoing_.end());
      for (const Waiting& each : messages) running_.erase(each.id);
      throw;
    }
    Wake();
    return;
  }
  if (waiting_.size() + count > max_waiting_) throw executor::QueueFull(waiting_.size() + count, max_waiting_);
  std::move(messages.begin(), messages.end(), std::back_inserter(waiting_));
}

void Proxy::Cancel(const uint64_t* ids, uint32_t count) {
  const std::unordered_set<uint64_t> cancelled(ids, ids + count);
  std::vector<uint64_t> running;
  std::vector<uint64_t> waited;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const uint64_t id : cancelled)
    if (running_.count(id) > 0) running.push_back(id);
  // One pass, however many of those that wait are cancelled.
  const auto kept = std::stable_partition(waiting_.begin(), waiting_.end(),
                                          [&](const Waiting& waiting) { return cancelled.count(waiting.id) == 0; });
  for (auto each = kept; each != waiting_.end(); ++each) waited.push_back(each->id);
  waiting_.erase(kept, waiting_.end());
  if (!running.empty()) {
    const IdList list = {running.data(), static_cast<uint32_t>(running.size())};
    outgoing_.push_back(Encode(MessageType::kCancel, list));
    Wake();
  }
  if (!waited.empty()) {
    arrived_.push_back(EndedRows(std::move(waited), FINISH_CANCELLED));
    changed_.notify_all();
  }
}

const ExecutorBatch* Proxy::Wait(milliseconds timeout) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait_for(lock, timeout, [this] { return interrupted_ || !arrived_.empty(); });
  interrupted_ = false;
  current_ = no_rows_;
  if (!arrived_.empty()) {
    if (arrived_.size() >= kMaxArrived) Wake();  // there is room again
    current_ = std::move(arrived_.front());
    arrived_.pop_front();
  }
  return current_.get();
}

void Proxy::Interrupt() {
  const std::lock_guard<std::mutex> lock(mutex_);
  interrupted_ = true;
  changed_.notify_all();
}

void Proxy::Stats(ExecutorStats* stats) {
  std::unique_lock<std::mutex> lock(mutex_);
  ExecutorStats found{};
  if (state_ == State::kReady) {
    // An answer to an earlier call may be older than what the caller has read since.
    const uint64_t asked = ++stats_asked_;
    outgoing_.push_back(Writer(MessageType::kAskStats).Take());
    Wake();
    changed_.wait_for(lock, kStatsTimeout, [&] { return stats_answered_ >= asked; });
    given_stats_ = stats_;  // the newest, even if the host did not answer
    if (given_stats_ != nullptr) {
      executor::ThrowOnFailure(given_stats_->error.code, given_stats_->error);
      found = given_stats_->stats;
    }
  } else {
    found.queued_requests = static_cast<uint32_t>(waiting_.size());
  }
  *stats = found;
}

// What came before the rows that Wait gave has arrived before them.
const ExecutorKvEvents* Proxy::KvEvents() {
  read_kv_events_.clear();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    read_kv_events_.swap(kv_events_);
    kv_event_count_ = 0;
  }
  all_kv_events_.clear();
  for (const auto& some : read_kv_events_)
    all_kv_events_.insert(all_kv_events_.end(), some->events, some->events + some->event_count);
  given_kv_events_ = {sizeof(given_kv_events_), static_cast<uint32_t>(all_kv_events_.size()), all_kv_events_.data()};
  return &given_kv_events_;
}

void Proxy::Shutdown(milliseconds deadline) {
  std::unique_lock<std::mutex> lock(mutex_);
  closed_ = true;
  stop_by_ = Clock::now() + deadline;
  changed_.notify_all();
  std::vector<uint64_t> waited;
  for (const Waiting& each : waiting_) waited.push_back(each.id);
  if (!waited.empty()) arrived_.push_back(EndedRows(std::move(waited), FINISH_CANCELLED));
  waiting_.clear();
  if (state_ != State::kReady) return;
  const auto of_host = deadline - std::min(deadline / 2, kShutdownGrace);
  outgoing_.push_back(Encode(MessageType::kShutdown, ShutdownOrder{static_cast<uint32_t>(of_host.count())}));
  Wake();
  changed_.wait_until(lock, *stop_by_, [this] { return shut_down_ || state_ != State::kReady; });
}

void Proxy::Wake() const {
  const uint64_t one = 1;
  (void)!write(wake_.get(), &one, sizeof(one));  // fails only if the supervisor has already been woken
}

void Proxy::Log(ExecutorLogLevel level, const std::string& line) const {
  if (callbacks_.on_log != nullptr) callbacks_.on_log(callbacks_.context, level, line.c_str());
}

void Proxy::Supervise() {
  for (;;) {
    const ExecutorError end = RunHost();
    bool goes_on = false;
    executor::UntilMemorySuffices([&] { goes_on = HostEnded(end); }, [] { return false; });
    if (!goes_on) return;
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_for(lock, backoff_, [this] { return stop_ || closed_; });
    if (stop_ || closed_) {
      state_ = State::kEnded;
      return;
    }
    backoff_ = std::min(backoff_ * 2, kLongestBackoff);
    state_ = State::kLoading;
  }
}

// Returns how the host ended.
ExecutorError Proxy::RunHost() {
  host_failure_.reset();
  sender_.reset();
  lost_.clear();
  ExecutorError end = executor::EmptyError();
  (void)executor::Guarded(&end, [&] {
    HostProcess host(program_, environment_);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      outgoing_.assign(1, create_message_);
    }
    Serve(&host);
  });
  return host_failure_.value_or(end);
}

// Throws how the host ended, or why it must.
void Proxy::Serve(HostProcess* host) {
  MessageReceiver receiver(MessageReceiver::From::kHost);
  std::optional<Clock::time_point> kill_at;
  bool can_send = true;
  for (;;) {
    bool reads = false;
    bool stop = false;
    bool sends = false;
    std::optional<Clock::time_point> stop_by;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stop = stop_;
      stop_by = stop_by_;
      reads = stop || arrived_.size() < kMaxArrived;
      sends = can_send && !stop && (sender_.has_value() || !outgoing_.empty());
    }
    if (stop && !kill_at.has_value()) {
      host->EndInput();
      kill_at = stop_by.value_or(Clock::now() + kStopGrace);
    }
    const auto left = kill_at.has_value() ? std::chrono::ceil<milliseconds>(*kill_at - Clock::now()) : milliseconds(-1);
    if (kill_at.has_value() && left.count() <= 0) host->Kill();

    pollfd watched[] = {
        {wake_.get(), POLLIN, 0},
        {reads || sends ? host->socket() : -1, static_cast<short>((reads ? POLLIN : 0) | (sends ? POLLOUT : 0)), 0}};
    poll(watched, 2, kill_at.has_value() ? std::max(static_cast<int>(left.count()), 1) : -1);
    if (watched[0].revents != 0) {
      uint64_t wakes = 0;
      (void)!read(wake_.get(), &wakes, sizeof(wakes));
    }
    // The end of a host shows when reading, after everything it has sent.
    if (sends && watched[1].revents != 0) can_send = SendOutgoing(*host);
    if (!reads || watched[1].revents == 0) continue;
    switch (receiver.Receive(host->socket(), MSG_DONTWAIT)) {
      case MessageReceiver::State::kMessage:
        OnMessage(receiver.Take());
        break;
      case MessageReceiver::State::kIncomplete:
        break;
      case MessageReceiver::State::kEnd:
        throw executor::Failure(
            EXECUTOR_FAILED,
            "The host process of the executor " + host->WaitForEnd(kill_at.value_or(Clock::now() + kStopGrace)) + ".");
    }
  }
}

// Returns whether the host can still be sent messages.
bool Proxy::SendOutgoing(const HostProcess& host) {
  for (;;) {
    if (!sender_.has_value()) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (outgoing_.empty()) return true;
      sender_.emplace(std::move(outgoing_.front()));
      outgoing_.pop_front();
    }
    const MessageSender::State state = sender_->SendOn(host.socket());
    if (state == MessageSender::State::kAllSent) {
      sender_.reset();
    } else {
      return state == MessageSender::State::kWouldBlock;
    }
  }
}

void Proxy::OnMessage(Message message) {
  if (message.is_lost) return OnLostBatch(message.request_id);
  switch (message.type) {
    case MessageType::kProgress: {
      const double done = Decode<LoadProgress>(std::move(message.payload))->done;
      const std::lock_guard<std::mutex> lock(mutex_);
      if (state_ != State::kLoading || !std::isfinite(done)) RefuseMessage("tells of an impossible progress");
      load_done_ = done;
      changed_.notify_all();
      return;
    }
    case MessageType::kLog: {
      const auto line = Decode<LogLine>(std::move(message.payload));
      Log(line->level, line->text);
      return;
    }
    case MessageType::kLoaded:
      return OnLoaded(Decode<ExecutorInfo>(std::move(message.payload)));
    case MessageType::kBatch:
      return OnBatch(Decode<ExecutorBatch>(std::move(message.payload)));
    case MessageType::kStats: {
      auto stats = Decode<StatsAnswer>(std::move(message.payload));
      const std::lock_guard<std::mutex> lock(mutex_);
      if (stats_answered_ == stats_asked_) RefuseMessage("answers what nobody asked");
      stats_ = std::move(stats);
      ++stats_answered_;
      changed_.notify_all();
      return;
    }
    case MessageType::kKvEvents:
      return OnKvEvents(Decode<ExecutorKvEvents>(std::move(message.payload)));
    case MessageType::kShutDown: {
      const std::lock_guard<std::mutex> lock(mutex_);
      shut_down_ = true;
      changed_.notify_all();
      return;
    }
    case MessageType::kFailed: {
      const auto error = Decode<ExecutorError>(std::move(message.payload));
      if (error->code == EXECUTOR_OK) RefuseMessage("tells of a failure that is none");
      host_failure_ = *error;
      return;
    }
    default:  // MessageReceiver has looked
      return;
  }
}

void Proxy::OnLoaded(std::shared_ptr<const ExecutorInfo> info) {
  executor::CheckInfo(*info);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (state_ != State::kLoading) RefuseMessage("says again that the engine is loaded");
    if (info_ != nullptr && info_->vocab_size != info->vocab_size)
      RefuseMessage("tells of another vocabulary than before");
    for (Waiting& each : waiting_) {
      running_.insert(each.id);
      outgoing_.push_back(std::move(each.message));
    }
    waiting_.clear();
    state_ = State::kReady;
    if (info_ == nullptr) {
      info_ = std::move(info);
      info = nullptr;
    }
    changed_.notify_all();
  }
  if (info != nullptr) Log(LOG_INFO, "The host process of the executor runs again.");
}

void Proxy::OnBatch(std::shared_ptr<const ExecutorBatch> batch) {
  if (info_ == nullptr) RefuseMessage("answers before the engine is loaded");
  executor::CheckBatch(*batch, info_->vocab_size);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (state_ != State::kReady) RefuseMessage("answers before the engine is loaded");
  for (uint32_t row = 0; row < batch->row_count; ++row) {
    if ((batch->flags[row] & ROW_REQUEST_FINAL) == 0) continue;
    running_.erase(batch->request_ids[row]);
    if (batch->finish[row] != FINISH_ERROR && batch->finish[row] != FINISH_CANCELLED) any_succeeded_ = true;
    if (batch->finish[row] == FINISH_ERROR && batch->details[row]->error->code == EXECUTOR_FAILED)
      executor_failed_ = true;
  }
  if (lost_.empty())
    arrived_.push_back(std::move(batch));
  else
    AddWithoutLost(batch);
  changed_.notify_all();
}

// Of more than the executor itself would keep, the oldest are dropped.
void Proxy::OnKvEvents(std::shared_ptr<const ExecutorKvEvents> events) {
  const std::lock_guard<std::mutex> lock(mutex_);
  kv_event_count_ += events->event_count;
  kv_events_.push_back(std::move(events));
  while (kv_event_count_ > max_kv_events_) {
    kv_event_count_ -= kv_events_.front()->event_count;
    kv_events_.pop_front();
  }
}

// No memory sufficed for a batch of this request: it ends, and the others go on.
void Proxy::OnLostBatch(uint64_t request_id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (running_.count(request_id) == 0) return;
  auto rows = FailedRows({request_id}, executor::OutOfOutputMemory(request_id));
  outgoing_.push_back(Encode(MessageType::kCancel, IdList{&request_id, 1}));
  lost_.insert(request_id);
  arrived_.push_back(std::move(rows));
  running_.erase(request_id);
  changed_.notify_all();
}

// The rows of the batch but those of requests that were lost.
void Proxy::AddWithoutLost(const std::shared_ptr<const ExecutorBatch>& batch) {
  struct Slice {
    std::shared_ptr<const ExecutorBatch> whole;
    BatchSlice slice;
  };
  uint32_t first = 0;  // of those to add
  const auto add_until = [&](uint32_t end) {
    if (first == end) return;
    const std::shared_ptr<const Slice> slice(new Slice{batch, {*batch, first, end}});
    arrived_.emplace_back(slice, &slice->slice.batch());
  };
  for (uint32_t row = 0; row < batch->row_count; ++row) {
    const auto lost = lost_.find(batch->request_ids[row]);
    if (lost == lost_.end()) continue;
    if (batch->flags[row] & ROW_REQUEST_FINAL) lost_.erase(lost);
    add_until(row);
    first = row + 1;
  }
  add_until(batch->row_count);
}

// Ends the host's requests and, if its load failed, those that waited for it. Returns whether to start another host. Where
// memory runs out it has done nothing.
bool Proxy::HostEnded(const ExecutorError& end) {
  std::string why = end.message;
  if (why.empty() || why.back() != '.') why += '.';  // more follows
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const bool had_loaded = state_ == State::kReady;
    const bool goes_on = info_ != nullptr && !stop_ && !closed_;
    if (goes_on && had_loaded) {
      why += " Its running requests are lost. Send the request again: it waits for the next host process.";
    } else if (goes_on) {
      why = "The host process of the executor could not be started again: " + why + " Send the request again later.";
    }
    std::vector<uint64_t> lost(running_.begin(), running_.end());
    if (!had_loaded) {
      for (const Waiting& each : waiting_) {
        if (running_.count(each.id) == 0) lost.push_back(each.id);
      }
    }
    if (info_ == nullptr) load_failure_ = executor::FailureOf(end.code, end);
    if (!lost.empty()) arrived_.push_back(FailedRows(std::move(lost), executor::Failure(EXECUTOR_FAILED, why)));

    running_.clear();
    if (!had_loaded) waiting_.clear();
    executor_failed_ = false;
    state_ = goes_on ? State::kDown : State::kEnded;
    outgoing_.clear();
    stats_answered_ = stats_asked_;
    if (std::exchange(any_succeeded_, false)) backoff_ = kFirstBackoff;
    changed_.notify_all();
    if (!goes_on) return false;
  }
  ExecutorError ignored = executor::EmptyError();  // of a line that no memory sufficed for
  (void)executor::Guarded(&ignored,
                          [&] { Log(LOG_ERROR, why + " Next start in " + std::to_string(backoff_.count()) + " ms."); });
  return true;
}

}  // namespace isolation
