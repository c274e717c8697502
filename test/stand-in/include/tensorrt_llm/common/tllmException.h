#ifndef STAND_IN_TENSORRT_LLM_COMMON_TLLM_EXCEPTION_H_
#define STAND_IN_TENSORRT_LLM_COMMON_TLLM_EXCEPTION_H_

#include <cstddef>
#include <stdexcept>
#include <string>

#include "tensorrt_llm/stand_in_version.h"

namespace tensorrt_llm::common {

// what() is "<msg> (<file>:<line>)" and, from the next line on, a backtrace.
class TllmException : public std::runtime_error {
 public:
#if STAND_IN_1_2
  explicit TllmException(char const* file, std::size_t line, char const* msg);
#else
  explicit TllmException(char const* file, std::size_t line, std::string const& msg);
#endif
  ~TllmException() noexcept override;

  [[nodiscard]] std::string getTrace() const;
};

}  // namespace tensorrt_llm::common

#endif  // STAND_IN_TENSORRT_LLM_COMMON_TLLM_EXCEPTION_H_
