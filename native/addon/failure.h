// From C++ failures to JavaScript errors: an Error with the number of the contract's code and, where it is about one,
// the option, which lib/addon/executor-error.ts turns into an LLMError.
#ifndef ADDON_FAILURE_H_
#define ADDON_FAILURE_H_

#include <napi.h>

#include "native/executor/cpp/failure.h"

namespace addon {

inline Napi::Error ToJavaScript(Napi::Env env, const executor::Failure& failure) {
  Napi::Error error = Napi::Error::New(env, failure.what());
  error.Value().Set("executorCode", Napi::Number::New(env, failure.code()));
  const std::string option = executor::OptionName(failure.field());
  if (!option.empty()) error.Value().Set("option", Napi::String::New(env, option));
  return error;
}

// Runs the body of a function that JavaScript called. Napi::Error passes: it is one already.
template <typename Body>
auto Guarded(Napi::Env env, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const executor::Failure& failure) {
    throw ToJavaScript(env, failure);
  } catch (const std::bad_alloc&) {
    throw ToJavaScript(env, executor::Failure(EXECUTOR_OUT_OF_MEMORY, executor::kOutOfMemoryMessage));
  }
}

}  // namespace addon

#endif  // ADDON_FAILURE_H_
