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
inline Napi::Error ToJavaScript(Napi::Env env, const std::exception_ptr& thrown) {
  const auto error = [&](const char* code, const char* message) {
    Napi::Error made = Napi::Error::New(env, message);
    made.Value().Set("code", Napi::String::New(env, code));
    return made;
  };
  try {
    std::rethrow_exception(thrown);
  } catch (const Napi::Error& raised) {
    return raised;
  } catch (const text::TokenizerError& failure) {
    const bool is_file = failure.kind() == text::TokenizerErrorKind::kFile;
    return error(is_file ? "ERR_TOKENIZER_INVALID" : "ERR_PROMPT_TOO_LONG", failure.what());
  } catch (const std::bad_alloc&) {
    return error("ERR_OUT_OF_MEMORY", "The process is out of memory for the tokenizer or this text. Shorten the text.");
  } catch (const std::exception& unexpected) {
    return error("ERR_INTERNAL", unexpected.what());
  }
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
