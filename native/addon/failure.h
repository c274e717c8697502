// From C++ failures to JavaScript errors: an Error with the number of the contract's code, which lib/addon/addon.ts turns into
// an LLMError.
#ifndef ADDON_FAILURE_H_
#define ADDON_FAILURE_H_

#include <napi.h>

#include "native/executor/cpp/failure.h"

namespace addon {

inline Napi::Error ToJavaScript(Napi::Env env, ExecutorCode code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Value().Set("executorCode", Napi::Number::New(env, code));
  return error;
}

// Runs the body of a function that JavaScript called. Napi::Error passes: it is one already.
template <typename Body>
auto Guarded(Napi::Env env, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const executor::Failure& failure) {
    throw ToJavaScript(env, failure.code(), failure.what());
  } catch (const std::bad_alloc&) {
    throw ToJavaScript(env, EXECUTOR_OUT_OF_MEMORY,
                       "The process is out of memory. Use a smaller model or a smaller batch.");
  }
}

}  // namespace addon

#endif  // ADDON_FAILURE_H_
