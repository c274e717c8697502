// Rows that end requests which no executor ends: refused ones, and those of a host that is gone.
#ifndef ISOLATION_ENDED_ROWS_H_
#define ISOLATION_ENDED_ROWS_H_

#include <memory>
#include <string>
#include <vector>

#include "native/executor/executor.h"

namespace isolation {

// A batch with the last row of each request. `code` and `message` are of FINISH_ERROR; any other finish has none.
std::shared_ptr<const ExecutorBatch> EndedRows(std::vector<uint64_t> ids, ExecutorFinish finish,
                                               ExecutorCode code = EXECUTOR_OK, const std::string& message = {});

}  // namespace isolation

#endif  // ISOLATION_ENDED_ROWS_H_
