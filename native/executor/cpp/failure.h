// The C++ side of the table's failures: what an executor throws inside becomes an ExecutorError at the boundary.
#ifndef NODE_TENSORRT_LLM_EXECUTOR_FAILURE_H_
#define NODE_TENSORRT_LLM_EXECUTOR_FAILURE_H_

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <exception>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "native/executor/executor.h"

namespace executor {

// An option as users spell it, from its field: kvCache.maxTokens from "kv_cache.max_tokens".
inline std::string OptionName(std::string_view field) {
  std::string name;
  for (size_t i = 0; i < field.size(); ++i) {
    const bool starts_word = field[i] == '_' && i + 1 < field.size();
    name += starts_word ? static_cast<char>(std::toupper(static_cast<unsigned char>(field[++i]))) : field[i];
  }
  return name;
}

// "1 rank", "2 ranks".
inline std::string Count(size_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

// One wording for a situation that several rooms meet; lib/request/requests.ts has the first too.
inline constexpr char kClosedMessage[] = "This LLM is closed. Load the engine again with LLM.load().";
inline constexpr char kLoadAbortedMessage[] = "The load was aborted.";
inline constexpr char kOutOfMemoryMessage[] = "The process is out of memory. Use a smaller model or a smaller batch.";

// A failure with a code of the table; its text is "FOUND; expected EXPECTED. FIX.", in which what goes without saying is left
// out.
class Failure : public std::runtime_error {
 public:
  Failure(ExecutorCode code, const std::string& message, std::optional<uint64_t> request_id = std::nullopt)
      : std::runtime_error(message), code_(code), request_id_(request_id) {}
  ExecutorCode code() const { return code_; }
  std::optional<uint64_t> request_id() const { return request_id_; }
  // Empty where it is about no option.
  const char* field() const { return field_.data(); }

  // Says which option it is about: "kv_cache.max_tokens". `sampling` and `output` hold a request's own options, so that
  // their fields stand alone: "top_p".
  Failure& About(std::string_view field) {
    field_.fill(0);
    field.copy(field_.data(), field_.size() - 1);
    return *this;
  }
  Failure& OfRequest(uint64_t request_id) {
    request_id_ = request_id;
    return *this;
  }

 private:
  ExecutorCode code_;
  std::optional<uint64_t> request_id_;
  std::array<char, sizeof(ExecutorError::field)> field_{};
};

// About an option, whose name begins the message and `rest` goes on: " is 0; expected at least 1.".
inline Failure OptionFailure(ExecutorCode code, std::string_view field, const std::string& rest) {
  return Failure(code, OptionName(field) + rest).About(field);
}

// Of one request; the others go on.
inline Failure OutOfOutputMemory(uint64_t request_id) {
  return Failure(EXECUTOR_OUT_OF_MEMORY,
                 "No memory is left for the outputs of request " + std::to_string(request_id) +
                     ". Ask for fewer logits or logprobs.",
                 request_id);
}

// Fills the error up to the size its owner gave it. A message that is too long ends at a whole UTF-8 character.
inline ExecutorCode Report(ExecutorError* error, ExecutorCode code, std::string_view message,
                           std::optional<uint64_t> request_id = std::nullopt, std::string_view field = {}) noexcept {
  if (error == nullptr || error->size < offsetof(ExecutorError, message) + 1) return code;
  error->code = code;
  error->has_request_id = request_id.has_value() ? 1 : 0;
  error->request_id = request_id.value_or(0);
  error->field[field.copy(error->field, sizeof(error->field) - 1)] = 0;
  const size_t room = std::min<size_t>(error->size - offsetof(ExecutorError, message), sizeof(error->message)) - 1;
  size_t length = std::min(message.size(), room);
  while (length < message.size() && length > 0 && (static_cast<unsigned char>(message[length]) & 0xC0) == 0x80)
    --length;
  std::memcpy(error->message, message.data(), length);
  error->message[length] = 0;
  return code;
}
inline ExecutorCode Report(ExecutorError* error, const Failure& failure) noexcept {
  return Report(error, failure.code(), failure.what(), failure.request_id(), failure.field());
}

// The caller's side: an error for a table function to fill, and what it filled as a Failure.
inline ExecutorError EmptyError() {
  ExecutorError error{};
  error.size = sizeof(error);
  return error;
}
inline Failure FailureOf(ExecutorCode code, const ExecutorError& error) {
  Failure failure(code, error.message);
  if (error.has_request_id != 0) failure.OfRequest(error.request_id);
  return failure.About(error.field);
}
inline void ThrowOnFailure(ExecutorCode code, const ExecutorError& error) {
  if (code != EXECUTOR_OK) throw FailureOf(code, error);
}

// Runs the body of a table function; nothing thrown crosses the table.
template <typename Body>
ExecutorCode Guarded(ExecutorError* error, Body body) noexcept {
  try {
    body();
    return EXECUTOR_OK;
  } catch (const Failure& failure) {
    return Report(error, failure);
  } catch (const std::bad_alloc&) {
    return Report(error, EXECUTOR_OUT_OF_MEMORY, kOutOfMemoryMessage);
  } catch (const std::exception& unexpected) {
    return Report(error, EXECUTOR_INTERNAL, unexpected.what());
  } catch (...) {
    return Report(error, EXECUTOR_INTERNAL, "Something was thrown that is not a std::exception. Please report this.");
  }
}

}  // namespace executor

#endif  // NODE_TENSORRT_LLM_EXECUTOR_FAILURE_H_
