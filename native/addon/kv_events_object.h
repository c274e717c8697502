// Events of the KV cache as lib/addon/kv-events.ts reads them.
#ifndef ADDON_KV_EVENTS_OBJECT_H_
#define ADDON_KV_EVENTS_OBJECT_H_

#include <napi.h>

#include "native/executor/executor.h"

namespace addon {

// Three arrays, which make one object of each in JavaScript instead of one of each block. `numbers` has for each event its
// id, its type, its window size, and then
//   created  how many cache levels there are, and the blocks of each
//   stored   1 if it has a parent, how many blocks there are, and of each its number of tokens, cache level, priority and
//            adapter, which is -1 where it has none
//   removed  how many blocks there are
//   updated  its `set`, the old and the new cache level, the old and the new priority
// `hashes` has those of the parents and of the blocks, and `tokens` those of the blocks, both in the order of the events.
Napi::Object KvEventsObject(Napi::Env env, const ExecutorKvEvents& events);

}  // namespace addon

#endif  // ADDON_KV_EVENTS_OBJECT_H_
