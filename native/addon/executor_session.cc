#include "native/addon/executor_session.h"

#include <algorithm>
#include <utility>

#include "native/executor/cpp/batch_check.h"
#include "native/executor/cpp/copy_sized.h"
#include "native/executor/cpp/failure.h"
#include "native/executor/cpp/request_checks.h"
#include "native/executor/cpp/start_thread.h"

namespace addon {
using executor::EmptyError;
using executor::ThrowOnFailure;

namespace {

// std::condition_variable::wait needs a newer libstdc++ than a prebuilt addon may ask for; wait_for does not.
constexpr auto kLongTime = std::chrono::hours(1);

uint64_t NextShareId() {
  static std::atomic<uint64_t> next{1};
  return next.fetch_add(1);
}

}  // namespace

uint64_t NextRequestId() {
  static std::atomic<uint64_t> next{1};
  return next.fetch_add(1);
}

std::shared_ptr<ExecutorSession> ExecutorSession::Open(OwnedExecutor executor, Isolation isolation,
                                                       std::shared_ptr<const text::Vocabulary> vocabulary,
                                                       std::shared_ptr<void> context,
                                                       std::optional<uint64_t> share_id) {
  auto session = std::make_shared<ExecutorSession>(std::move(executor), isolation, std::move(vocabulary),
                                                   std::move(context), share_id);
  executor::StartThread([session] { session->Run(); }).detach();
  // The pump holds the session until it is closed, so what is given out counts its users alone.
  ExecutorSession* const held = session.get();
  return std::shared_ptr<ExecutorSession>(
      held, [session = std::move(session)](ExecutorSession*) { session->BeginClose(kCloseDeadline); });
}

ExecutorSession::ExecutorSession(OwnedExecutor executor, Isolation isolation,
                                 std::shared_ptr<const text::Vocabulary> vocabulary, std::shared_ptr<void> context,
                                 std::optional<uint64_t> share_id)
    : share_id_(share_id ? *share_id : NextShareId()),
      context_(std::move(context)),
      table_(executor.get_deleter().table),
      isolation_(isolation),
      executor_(std::move(executor)),
      vocabulary_(std::move(vocabulary)) {
  const ExecutorInfo* info = nullptr;
  ExecutorError error = EmptyError();
  ThrowOnFailure(table_->describe(executor_.get(), &info, &error), error);
  info_ = executor::CopySized(info);
  executor::CheckInfo(info_);
  for (auto [text, copy] : {std::make_pair(&info_.name, &name_), std::make_pair(&info_.version, &version_),
                            std::make_pair(&info_.device, &device_), std::make_pair(&info_.data_type, &data_type_)}) {
    *copy = *text;
    *text = copy->c_str();
  }
}

void ExecutorSession::Submit(const ExecutorRequest& request, const text::TextSettings& text,
                             std::shared_ptr<EnvironmentSink> sink) {
  const std::shared_lock<std::shared_mutex> intake(intake_);
  if (closed_) {
    throw executor::Failure(EXECUTOR_CLOSED, executor::kClosedMessage, request.id);
  }
  const ExecutorSampling sampling = executor::CopySized(request.sampling);
  const size_t min_tokens = sampling.set & SAMPLING_MIN_TOKENS ? sampling.min_tokens : 0;
  const auto asked_for = executor::SequencesAskedFor(sampling);
  const uint32_t sequences = asked_for ? asked_for->count : 1;
  Route route{std::move(sink), std::vector<Sequence>(sequences), sequences,
              executor::WantsPromptLogprobs(executor::CopySized(request.output)) ? request.token_count : 0};
  if (vocabulary_) {
    for (Sequence& sequence : route.sequences) {
      sequence.text.emplace(vocabulary_, text, min_tokens);
      sequence.text->ContinueFrom(request.tokens, request.token_count);
    }
  }
  {
    const std::lock_guard<std::mutex> lock(routes_mutex_);
    if (failure_.has_value()) throw executor::Failure(EXECUTOR_FAILED, *failure_, request.id);
    routes_.emplace(request.id, std::move(route));
  }
  const ExecutorRequest* const requests[] = {&request};
  ExecutorError error = EmptyError();
  const ExecutorCode code = table_->submit(executor_.get(), requests, 1, &error);
  if (code == EXECUTOR_OK) return;
  const std::lock_guard<std::mutex> lock(routes_mutex_);
  routes_.erase(request.id);
  ThrowOnFailure(code, error);
}

void ExecutorSession::Cancel(const std::vector<uint64_t>& ids) {
  const std::shared_lock<std::shared_mutex> intake(intake_);
  if (closed_) return;
  std::vector<uint64_t> known;
  {
    const std::lock_guard<std::mutex> lock(routes_mutex_);
    for (const uint64_t id : ids) {
      const auto route = routes_.find(id);
      if (route == routes_.end()) continue;
      route->second.sink.reset();
      known.push_back(id);
    }
  }
  CancelInExecutor(known.data(), known.size());
}

void ExecutorSession::CancelAbandoned() {
  const std::lock_guard<std::mutex> lock(close_mutex_);
  if (executor_ == nullptr) return;
  has_abandoned_ = true;
  table_->interrupt(executor_.get());
}

// A failure is not reported: either the executor has failed, which its rows and the next wait tell, or the id has ended.
void ExecutorSession::CancelInExecutor(const uint64_t* ids, size_t count) {
  // The executor has its lock for one call, in which its steps and a submit wait.
  constexpr size_t kMostAtOnce = 1024;
  for (size_t first = 0; first < count; first += kMostAtOnce) {
    ExecutorError error = EmptyError();
    const size_t some = std::min(count - first, kMostAtOnce);
    table_->cancel(executor_.get(), ids + first, static_cast<uint32_t>(some), &error);
  }
}

SessionStats ExecutorSession::Stats() {
  const std::shared_lock<std::shared_mutex> intake(intake_);
  if (closed_) throw executor::Failure(EXECUTOR_CLOSED, executor::kClosedMessage);
  const std::lock_guard<std::mutex> lock(stats_mutex_);
  SessionStats stats;
  stats.executor.size = sizeof(stats.executor);
  ExecutorError error = EmptyError();
  ThrowOnFailure(table_->stats(executor_.get(), &stats.executor, &error), error);
  stats.requests.assign(stats.executor.requests, stats.executor.requests + stats.executor.request_count);
  stats.executor.requests = nullptr;
  return stats;
}

void ExecutorSession::ReadKvEvents(const std::function<void(const ExecutorKvEvents&)>& read) {
  const std::shared_lock<std::shared_mutex> intake(intake_);
  if (closed_) throw executor::Failure(EXECUTOR_CLOSED, executor::kClosedMessage);
  const std::lock_guard<std::mutex> lock(kv_events_mutex_);
  const ExecutorKvEvents* events = nullptr;
  ExecutorError error = EmptyError();
  ThrowOnFailure(table_->kv_events(executor_.get(), &events, &error), error);
  read(*events);
}

void ExecutorSession::BeginClose(std::chrono::milliseconds deadline, std::function<void()> closed) {
  const auto now = Clock::now();
  // The last part is for the shutdown, so that one which the requests used up is not cut short by it.
  const auto shutdown = std::min(deadline / 4, std::chrono::milliseconds(500));
  {
    const std::lock_guard<std::mutex> lock(close_mutex_);
    if (!freed_) {
      if (closed) when_closed_.push_back(std::move(closed));
      closed = nullptr;
      drain_by_ = std::min(closing_ ? drain_by_ : Clock::time_point::max(), now + deadline - shutdown);
      close_by_ = std::min(closing_ ? close_by_ : Clock::time_point::max(), now + deadline);
      closing_ = true;
      if (executor_ != nullptr) table_->interrupt(executor_.get());
      close_changed_.notify_all();
    }
  }
  if (closed) closed();
}

void ExecutorSession::AwaitClosed() {
  std::unique_lock<std::mutex> lock(close_mutex_);
  while (!freed_) close_changed_.wait_for(lock, kLongTime);
}

}  // namespace addon
