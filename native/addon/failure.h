// From C++ failures to JavaScript errors: an Error with the number of the contract's code and, where it is about one,
// the option, which lib/addon/executor-error.ts turns into an LLMError.
#ifndef ADDON_FAILURE_H_
#define ADDON_FAILURE_H_

#include <napi.h>

#include <exception>

#include "native/executor/cpp/failure.h"
#include "native/text/tokenizer_error.h"

namespace addon {

inline Napi::Error ToJavaScript(Napi::Env env, const executor::Failure& failure) {
  Napi::Error error = Napi::Error::New(env, failure.what());
  error.Value().Set("executorCode", Napi::Number::New(env, failure.code()));
  const std::string option = executor::OptionName(failure.field());
  if (!option.empty()) error.Value().Set("option", Napi::String::New(env, option));
  return error;
}

// What went wrong with a tokenizer, as an Error with the `code` of an LLMError.
inline Napi::Error ToJavaScript(Napi::Env env, const char* code, const char* message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Value().Set("code", Napi::String::New(env, code));
  return error;
}
inline Napi::Error ToJavaScript(Napi::Env env, const text::TokenizerError& failure) {
  const bool is_file = failure.kind() == text::TokenizerErrorKind::kFile;
  return ToJavaScript(env, is_file ? "ERR_TOKENIZER_INVALID" : "ERR_PROMPT_TOO_LONG", failure.what());
}
inline Napi::Error ToJavaScript(Napi::Env env, const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const text::TokenizerError& failure) {
    return ToJavaScript(env, failure);
  } catch (const std::bad_alloc&) {
    return ToJavaScript(env, "ERR_OUT_OF_MEMORY", "The process is out of memory for this text. Shorten it.");
  } catch (const std::exception& unexpected) {
    return ToJavaScript(env, "ERR_INTERNAL", unexpected.what());
  }
}

// Runs the body of a function that JavaScript called. Napi::Error passes: it is one already.
template <typename Body>
auto Guarded(Napi::Env env, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const executor::Failure& failure) {
    throw ToJavaScript(env, failure);
  } catch (const text::TokenizerError& failure) {
    throw ToJavaScript(env, failure);
  } catch (const std::bad_alloc&) {
    throw ToJavaScript(env, executor::Failure(EXECUTOR_OUT_OF_MEMORY, executor::kOutOfMemoryMessage));
  }
}

}  // namespace addon

#endif  // ADDON_FAILURE_H_
