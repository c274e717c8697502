// Events of the library's KV cache, which 0.15 and newer give.
#ifndef ADAPTER_KV_EVENTS_H_
#define ADAPTER_KV_EVENTS_H_

#include <deque>

#include "native/executor/cpp/kv_event_batch.h"
#include "native/tensorrt_llm/features.h"

namespace adapter {

// Whether the executor has them to give: not of ranks in other processes, nor in older versions.
bool HasKvEvents(const tle::Executor& executor);

// Those that have come since the last call. The library gives them somewhat later than the responses they came with.
std::deque<executor::OwnedKvEvent> TakeKvEvents(const tle::Executor& executor);

}  // namespace adapter

#endif  // ADAPTER_KV_EVENTS_H_
