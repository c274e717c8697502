// The groups of a request that few requests have: cache, adapters, guides, drafts, other inputs, disaggregated serving.
#ifndef ADAPTER_REQUEST_EXTRAS_H_
#define ADAPTER_REQUEST_EXTRAS_H_

#include "native/executor/request.h"
#include "native/tensorrt_llm/features.h"

namespace adapter {

// Throws executor::Failure with EXECUTOR_UNSUPPORTED for what this version lacks, naming the field.
void SetExtras(const ExecutorRequest& given, tle::Request* request);

// CAN_* of those groups that not every version has.
uint64_t ExtraCapabilities();

}  // namespace adapter

#endif  // ADAPTER_REQUEST_EXTRAS_H_
