// C++ only: whether what an executor answers is what the contract says, before anyone uses it.
#ifndef NODE_TENSORRT_LLM_EXECUTOR_BATCH_CHECK_H_
#define NODE_TENSORRT_LLM_EXECUTOR_BATCH_CHECK_H_

#include <cstdint>

#include "native/executor/executor.h"

namespace executor {

// Of a whole struct. Throws a Failure with EXECUTOR_FAILED that says what is wrong.
void CheckInfo(const ExecutorInfo& info);

// Of a batch: everything that its reader uses is there and fits, so that no index leads out of an array. Whether arrays of an
// executor in this process are as long as it says cannot be seen. Throws as CheckInfo.
void CheckBatch(const ExecutorBatch& batch, uint32_t vocab_size);

}  // namespace executor

#endif  // NODE_TENSORRT_LLM_EXECUTOR_BATCH_CHECK_H_
