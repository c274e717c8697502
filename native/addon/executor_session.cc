#include "native/addon/executor_session.h"

#include <algorithm>
#include <utility>

#include "native/executor/cpp/copy_sized.h"
#include "native/executor/cpp/failure.h"
#include "native/executor/cpp/request_checks.h"

namespace addon {
using executor::EmptyError;
using executor::ThrowOnFailure;

namespace {

uint64_t NextShareId() {
  static std::atomic<uint64_t> next{1};
  return next.fetch_add(1);
}

}  // namespace

uint64_t NextRequestId() {
  static std::atomic<uint64_t> next{1};
  return next.fetch_add(1);
}

ExecutorSession::ExecutorSession(const ExecutorTable* table, Executor* executor, Isolation isolation,
                                 std::shared_ptr<const text::Vocabulary> vocabulary, std::shared_ptr<void> context)
    : share_id_(NextShareId()),
      context_(std::move(context)),
      table_(table),
      isolation_(isolation),
      executor_(executor),
      vocabulary_(std::move(vocabulary)) {
  const ExecutorInfo* info = nullptr;
  ExecutorError error = EmptyError();
  const ExecutorCode code = table_->describe(executor_, &info, &error);
  if (code != EXECUTOR_OK) {
    table_->destroy(executor_);
    ThrowOnFailure(code, error);
  }
  info_ = executor::CopySized(info);
  for (auto [text, copy] : {std::make_pair(&info_.name, &name_), std::make_pair(&info_.version, &version_),
                            std::make_pair(&info_.device, &device_), std::make_pair(&info_.data_type, &data_type_)}) {
    *copy = *text;
    *text = copy->c_str();
  }
  pump_ = std::thread(&ExecutorSession::Pump, this);
}

ExecutorSession::~ExecutorSession() { Close(std::chrono::seconds(5)); }

void ExecutorSession::Submit(const ExecutorRequest& request, std::shared_ptr<const text::StopStrings> stops,
                             text::SpecialTokens special_tokens, std::shared_ptr<EnvironmentSink> sink) {
  const std::shared_lock<std::shared_mutex> intake(intake_);
  if (closed_) {
    throw executor::Failure(EXECUTOR_CLOSED, executor::kClosedMessage, request.id);
  }
  const auto asked_for = executor::SequencesAskedFor(executor::CopySized(request.sampling));
  const uint32_t sequences = asked_for ? asked_for->count : 1;
  Route route{std::move(sink), std::vector<Sequence>(sequences), sequences};
  if (vocabulary_) {
    for (Sequence& sequence : route.sequences) sequence.text.emplace(vocabulary_, stops, special_tokens);
  }
  {
    const std::lock_guard<std::mutex> lock(routes_mutex_);
    if (failure_.has_value()) throw executor::Failure(EXECUTOR_FAILED, *failure_, request.id);
    routes_.emplace(request.id, std::move(route));
  }
  const ExecutorRequest* const requests[] = {&request};
  ExecutorError error = EmptyError();
  const ExecutorCode code = table_->submit(executor_, requests, 1, &error);
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
  CancelInExecutor(known);
}

void ExecutorSession::CancelAll(const EnvironmentSink* sink) {
  const std::shared_lock<std::shared_mutex> intake(intake_);
  if (closed_) return;
  std::vector<uint64_t> ids;
  {
    const std::lock_guard<std::mutex> lock(routes_mutex_);
    for (auto& [id, route] : routes_) {
      if (route.sink.get() != sink) continue;
      route.sink.reset();
      ids.push_back(id);
    }
  }
  CancelInExecutor(ids);
}

// A failure is not reported: either the executor has failed, which its rows and the next wait tell, or the id has ended.
void ExecutorSession::CancelInExecutor(const std::vector<uint64_t>& ids) {
  // The executor has its lock for one call, in which its steps and a submit wait.
  constexpr size_t kMostAtOnce = 1024;
  for (size_t first = 0; first < ids.size(); first += kMostAtOnce) {
    ExecutorError error = EmptyError();
    const size_t count = std::min(ids.size() - first, kMostAtOnce);
    table_->cancel(executor_, ids.data() + first, static_cast<uint32_t>(count), &error);
  }
}

void ExecutorSession::Stats(ExecutorStats* stats) {
  const std::shared_lock<std::shared_mutex> intake(intake_);
  if (closed_) throw executor::Failure(EXECUTOR_CLOSED, executor::kClosedMessage);
  const std::lock_guard<std::mutex> lock(stats_mutex_);
  ExecutorError error = EmptyError();
  ThrowOnFailure(table_->stats(executor_, stats, &error), error);
}

void ExecutorSession::Close(std::chrono::milliseconds deadline) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  const std::lock_guard<std::mutex> closing(close_mutex_);
  if (executor_ == nullptr) return;
  {
    const std::unique_lock<std::shared_mutex> intake(intake_);
    closed_ = true;
  }
  {
    std::unique_lock<std::mutex> lock(routes_mutex_);
    std::vector<uint64_t> ids;
    for (const auto& [id, route] : routes_) ids.push_back(id);
    lock.unlock();
    CancelInExecutor(ids);
    lock.lock();
    routes_empty_.wait_until(lock, end, [this] { return routes_.empty(); });
  }
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
  ExecutorError error = EmptyError();
  table_->shutdown(executor_, static_cast<uint32_t>(std::max<int64_t>(left.count(), 0)), &error);
  stop_pump_ = true;
  table_->interrupt(executor_);
  pump_.join();
  table_->destroy(executor_);
  executor_ = nullptr;
}

}  // namespace addon
