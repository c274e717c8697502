// From TensorRT-LLM's Result to rows of the contract.
#ifndef ADAPTER_RESPONSES_H_
#define ADAPTER_RESPONSES_H_

#include <vector>

#include "native/executor/cpp/batch_row.h"
#include "native/executor/cpp/failure.h"
#include "native/tensorrt_llm/engine.h"
#include "native/tensorrt_llm/features.h"
#include "native/tensorrt_llm/pending.h"

namespace adapter {

using executor::BatchRow;

// One row for each sequence of the result that has not ended yet. `cancelled` is a parameter because other threads write
// pending->cancelled. Throws executor::Failure, which ends the request, for output that TensorRT-LLM did not return as asked.
std::vector<BatchRow> RowsOf(const tle::Result& result, const Engine& engine, bool cancelled, Pending* pending);

// The row that ends a request with an error.
BatchRow ErrorRow(const executor::Failure& failure, const Pending& pending);

}  // namespace adapter

#endif  // ADAPTER_RESPONSES_H_
