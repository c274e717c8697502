// The C++ side of the table's failures: what an executor throws inside becomes an ExecutorError at the boundary.
#ifndef NODE_TENSORRT_LLM_EXECUTOR_GUARD_H_
#define NODE_TENSORRT_LLM_EXECUTOR_GUARD_H_

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "native/executor/executor.h"

namespace executor {

// A failure with a code of the table; its text says what was found, what was expected and how to mend it.
class Failure : public std::runtime_error {
 public:
  Failure(ExecutorCode code, const std::string& message, std::optional<uint64_t> request_id = std::nullopt)
      : std::runtime_error(message), code_(code), request_id_(request_id) {}
  ExecutorCode code() const { return code_; }
  std::optional<uint64_t> request_id() const { return request_id_; }

 private:
  ExecutorCode code_;
  std::optional<uint64_t> request_id_;
};

// Fills the error up to the size its owner gave it. A message that is too long ends at a whole UTF-8 character.
inline ExecutorCode Report(ExecutorError* error, ExecutorCode code, std::string_view message,
                           std::optional<uint64_t> request_id = std::nullopt) noexcept {
  if (error == nullptr || error->size < offsetof(ExecutorError, message) + 1) return code;
  error->code = code;
  error->has_request_id = request_id.has_value() ? 1 : 0;
  error->request_id = request_id.value_or(0);
  const size_t room = std::min<size_t>(error->size - offsetof(ExecutorError, message), sizeof(error->message)) - 1;
  size_t length = std::min(message.size(), room);
  while (length < message.size() && length > 0 && (static_cast<unsigned char>(message[length]) & 0xC0) == 0x80)
    --length;
  std::memcpy(error->message, message.data(), length);
  error->message[length] = 0;
  return code;
}

// The caller's side: an error for a table function to fill, and what it filled thrown as a Failure.
inline ExecutorError EmptyError() {
  ExecutorError error{};
  error.size = sizeof(error);
  return error;
}
inline void ThrowOnFailure(ExecutorCode code, const ExecutorError& error) {
  if (code == EXECUTOR_OK) return;
  throw Failure(code, error.message, error.has_request_id ? std::optional<uint64_t>(error.request_id) : std::nullopt);
}

// Runs the body of a table function; nothing thrown crosses the table.
template <typename Body>
ExecutorCode Guarded(ExecutorError* error, Body body) noexcept {
  try {
    body();
    return EXECUTOR_OK;
  } catch (const Failure& failure) {
    return Report(error, failure.code(), failure.what(), failure.request_id());
  } catch (const std::bad_alloc&) {
    return Report(error, EXECUTOR_OUT_OF_MEMORY, "the process has no memory left; use a smaller model or batch");
  } catch (const std::exception& unexpected) {
    return Report(error, EXECUTOR_INTERNAL, unexpected.what());
  } catch (...) {
    return Report(error, EXECUTOR_INTERNAL, "what was thrown is no std::exception; please report it");
  }
}

}  // namespace executor

#endif  // NODE_TENSORRT_LLM_EXECUTOR_GUARD_H_
