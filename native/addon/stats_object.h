// What an executor counts, as the `Stats` of lib/addon/protocol.ts.
#ifndef ADDON_STATS_OBJECT_H_
#define ADDON_STATS_OBJECT_H_

#include <napi.h>

#include "native/addon/executor_session.h"

namespace addon {

Napi::Object StatsObject(Napi::Env env, const SessionStats& stats, const SessionCounters& counters, uint64_t wakeups);

}  // namespace addon

#endif  // ADDON_STATS_OBJECT_H_
