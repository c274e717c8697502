// Turns the error messages of TensorRT-LLM into failures of the contract.
#ifndef ADAPTER_ERRORS_H_
#define ADAPTER_ERRORS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "native/executor/cpp/failure.h"

namespace adapter {

// The message itself: its first line, without the library's prefixes, the place in its source and the backtrace.
std::string MessageOf(std::string_view text);

// The wording decides the code; `otherwise` if it is unknown. After EXECUTOR_FAILED no request can run.
executor::Failure FailureOf(std::string_view text, ExecutorCode otherwise,
                            std::optional<uint64_t> request_id = std::nullopt);

}  // namespace adapter

#endif  // ADAPTER_ERRORS_H_
