// What an executor is set up by, read from NativeLoadOptions of lib/addon/addon.ts.
#ifndef ADDON_CONFIG_READER_H_
#define ADDON_CONFIG_READER_H_

#include "native/addon/field_reader.h"
#include "native/executor/config.h"

namespace addon {

// The contract's struct, without its callbacks. `owner` keeps what it points to.
ExecutorConfig ReadConfig(const Napi::Object& options, Owner* owner);

}  // namespace addon

#endif  // ADDON_CONFIG_READER_H_
