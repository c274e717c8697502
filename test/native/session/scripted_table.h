// An executor whose batches a test gives, right or wrong.
#ifndef TEST_SESSION_SCRIPTED_TABLE_H_
#define TEST_SESSION_SCRIPTED_TABLE_H_

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "memory_limit.h"
#include "native/addon/executor_session.h"
#include "native/executor/cpp/batch_builder.h"

namespace addon {

inline constexpr int kVocabSize = 32;

template <typename... Row>
std::shared_ptr<const ExecutorBatch> BatchOf(Row... rows) {
  const auto builder = std::make_shared<executor::BatchBuilder>(kVocabSize);
  (builder->Add(std::move(rows), 1), ...);
  return std::shared_ptr<const ExecutorBatch>(builder, builder->Batch());
}

// The last row of a request.
inline executor::BatchRow LastRow(uint64_t id, std::vector<int32_t> tokens = {},
                                  ExecutorFinish finish = FINISH_LENGTH) {
  executor::BatchRow row;
  row.request_id = id;
  row.tokens = std::move(tokens);
  row.finish = finish;
  row.flags = ROW_SEQUENCE_FINAL | ROW_REQUEST_FINAL;
  return row;
}

class ScriptedTable {
 public:
  ScriptedTable() {
    info_.size = sizeof(info_);
    info_.vocab_size = kVocabSize;
    info_.name = info_.version = info_.device = info_.data_type = "scripted";
  }
  OwnedExecutor Create() { return OwnedExecutor(reinterpret_cast<Executor*>(this), {&kTable}); }

  ExecutorInfo* info() { return &info_; }
  void FailDescribe() { describe_fails_ = true; }
  void IgnoreCancel() { hears_cancel_ = false; }
  // What the next wait returns.
  void Give(std::shared_ptr<const ExecutorBatch> batch) {
    const std::lock_guard<std::mutex> lock(mutex_);
    batches_.push_back(std::move(batch));
    changed_.notify_all();
  }
  std::set<uint64_t> cancelled() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return cancelled_;
  }
  int destroyed() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return destroyed_;
  }
  void AwaitDestroyed() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (destroyed_ == 0) changed_.wait_for(lock, std::chrono::hours(1));
  }

 private:
  using Lock = std::unique_lock<std::mutex>;

  static ScriptedTable* Of(Executor* executor) { return reinterpret_cast<ScriptedTable*>(executor); }
  static ExecutorCode Describe(Executor* executor, const ExecutorInfo** info, ExecutorError* error) {
    *info = &Of(executor)->info_;
    return Of(executor)->describe_fails_ ? executor::Report(error, EXECUTOR_INTERNAL, "describe fails") : EXECUTOR_OK;
  }
  static ExecutorCode Submit(Executor*, const ExecutorRequest* const*, uint32_t, ExecutorError*) { return EXECUTOR_OK; }
  static ExecutorCode Cancel(Executor* executor, const uint64_t* ids, uint32_t count, ExecutorError*) {
    ScriptedTable* const self = Of(executor);
    const WithoutMemoryLimit without_limit;
    const Lock lock(self->mutex_);
    self->cancelled_.insert(ids, ids + count);
    for (uint32_t i = 0; self->hears_cancel_ && i < count; ++i)
      self->batches_.push_back(BatchOf(LastRow(ids[i], {}, FINISH_CANCELLED)));
    self->changed_.notify_all();
    return EXECUTOR_OK;
  }
  static ExecutorCode Wait(Executor* executor, uint32_t timeout_ms, const ExecutorBatch** batch, ExecutorError*) {
    ScriptedTable* const self = Of(executor);
    const WithoutMemoryLimit without_limit;
    Lock lock(self->mutex_);
    self->changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                            [self] { return self->interrupted_ || !self->batches_.empty(); });
    self->interrupted_ = false;
    self->current_ = BatchOf();
    if (!self->batches_.empty()) {
      self->current_ = std::move(self->batches_.front());
      self->batches_.pop_front();
    }
    *batch = self->current_.get();
    return EXECUTOR_OK;
  }
  static void Interrupt(Executor* executor) {
    const Lock lock(Of(executor)->mutex_);
    Of(executor)->interrupted_ = true;
    Of(executor)->changed_.notify_all();
  }
  static ExecutorCode Stats(Executor*, ExecutorStats*, ExecutorError*) { return EXECUTOR_OK; }
  static ExecutorCode Shutdown(Executor*, uint32_t, ExecutorError*) { return EXECUTOR_OK; }
  static void Destroy(Executor* executor) {
    const Lock lock(Of(executor)->mutex_);
    ++Of(executor)->destroyed_;
    Of(executor)->changed_.notify_all();
  }
  static constexpr ExecutorTable kTable = {sizeof(ExecutorTable),
                                           EXECUTOR_ABI_VERSION,
                                           "scripted",
                                           nullptr,
                                           Describe,
                                           Submit,
                                           Cancel,
                                           Wait,
                                           Interrupt,
                                           Stats,
                                           Shutdown,
                                           Destroy,
                                           nullptr};

  ExecutorInfo info_{};
  bool describe_fails_ = false;
  bool hears_cancel_ = true;
  std::mutex mutex_;  // of everything below
  std::condition_variable changed_;
  std::deque<std::shared_ptr<const ExecutorBatch>> batches_;
  std::shared_ptr<const ExecutorBatch> current_;
  std::set<uint64_t> cancelled_;
  bool interrupted_ = false;
  int destroyed_ = 0;
};

}  // namespace addon

#endif  // TEST_SESSION_SCRIPTED_TABLE_H_
