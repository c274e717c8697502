// Rows that end requests in place of an executor: refused ones, and those of a host that has ended.
#ifndef ISOLATION_ENDED_ROWS_H_
#define ISOLATION_ENDED_ROWS_H_

#include <memory>
#include <vector>

#include "native/executor/cpp/failure.h"

namespace isolation {

// A batch with the last row of each request; `finish` is not FINISH_ERROR.
std::shared_ptr<const ExecutorBatch> EndedRows(std::vector<uint64_t> ids, ExecutorFinish finish);
// Likewise for requests that end with FINISH_ERROR.
std::shared_ptr<const ExecutorBatch> FailedRows(std::vector<uint64_t> ids, const executor::Failure& failure);

}  // namespace isolation

#endif  // ISOLATION_ENDED_ROWS_H_
