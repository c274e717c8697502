#include "check.h"

#include "tensorrt_llm/common/tllmException.h"

namespace tensorrt_llm::common {
namespace {

std::string Describe(const std::string& message, const char* file, std::size_t line) {
  return message + " (" + file + ":" + std::to_string(line) + ")\n1   0x000000000000 the stand-in takes no backtrace";
}

}  // namespace

#if STAND_IN_1_2
TllmException::TllmException(char const* file, std::size_t line, char const* msg)
#else
TllmException::TllmException(char const* file, std::size_t line, std::string const& msg)
#endif
    : std::runtime_error(Describe(msg, file, line)) {
}

TllmException::~TllmException() noexcept = default;

std::string TllmException::getTrace() const {
  const std::string text = what();
  return text.substr(text.find('\n') + 1);
}

}  // namespace tensorrt_llm::common

namespace stand_in {

void Throw(const std::string& message, const char* file, int line) {
  throw tensorrt_llm::common::TllmException(file, static_cast<std::size_t>(line), message.c_str());
}

void Check(bool holds, const std::string& message, const char* file, int line) {
  if (!holds) Throw("[TensorRT-LLM][ERROR] Assertion failed: " + message, file, line);
}

}  // namespace stand_in
