#include "native/isolation/ended_rows.h"

#include <utility>

namespace isolation {
namespace {

struct Rows {
  std::vector<uint64_t> ids;
  std::vector<uint32_t> sequences;
  std::vector<uint8_t> finish;
  std::vector<uint8_t> flags;
  std::vector<uint32_t> token_offsets;
  std::vector<const ExecutorRowDetails*> details;
  ExecutorError error = executor::EmptyError();
  ExecutorRowDetails failure{};
  ExecutorBatch batch{};
};

std::shared_ptr<Rows> LastRows(std::vector<uint64_t> ids, ExecutorFinish finish) {
  auto rows = std::make_shared<Rows>();
  const size_t count = ids.size();
  rows->ids = std::move(ids);
  rows->sequences.assign(count, 0);
  rows->finish.assign(count, static_cast<uint8_t>(finish));
  rows->flags.assign(count, ROW_SEQUENCE_FINAL | ROW_REQUEST_FINAL);
  rows->token_offsets.assign(count + 1, 0);
  ExecutorBatch& batch = rows->batch;
  batch.size = sizeof(batch);
  batch.row_count = static_cast<uint32_t>(count);
  batch.request_ids = rows->ids.data();
  batch.sequences = rows->sequences.data();
  batch.finish = rows->finish.data();
  batch.flags = rows->flags.data();
  batch.token_offsets = rows->token_offsets.data();
  return rows;
}

}  // namespace

std::shared_ptr<const ExecutorBatch> EndedRows(std::vector<uint64_t> ids, ExecutorFinish finish) {
  const auto rows = LastRows(std::move(ids), finish);
  return std::shared_ptr<const ExecutorBatch>(rows, &rows->batch);
}

std::shared_ptr<const ExecutorBatch> FailedRows(std::vector<uint64_t> ids, const executor::Failure& failure) {
  const auto rows = LastRows(std::move(ids), FINISH_ERROR);
  executor::Report(&rows->error, failure);
  rows->failure.size = sizeof(rows->failure);
  rows->failure.error = &rows->error;
  rows->details.assign(rows->ids.size(), &rows->failure);
  rows->batch.details = rows->details.data();
  return std::shared_ptr<const ExecutorBatch>(rows, &rows->batch);
}

}  // namespace isolation
