#ifndef ADDON_LOAD_H_
#define ADDON_LOAD_H_

#include <napi.h>

namespace addon {

// load(options, onProgress, onLog): `{ promise, abort }`. A thread of its own loads the executor; the promise gives what the
// constructor of NativeSession takes. `options` is NativeLoadOptions of lib/addon/addon.ts; onProgress gets 0 to 1; onLog,
// which may be undefined, gets an ExecutorLogLevel and a line until the session is closed.
Napi::Value Load(const Napi::CallbackInfo& info);

// attach(shareId): what the constructor of NativeSession takes, for a session that another environment loaded.
Napi::Value Attach(const Napi::CallbackInfo& info);

}  // namespace addon

#endif  // ADDON_LOAD_H_
