// Options that the embedded executor does not support.
#ifndef EMBEDDED_REFUSE_H_
#define EMBEDDED_REFUSE_H_

#include <string>

#include "native/executor/cpp/failure.h"

namespace embedded {

[[noreturn]] inline void RefuseOption(const std::string& field) {
  throw executor::OptionFailure(
      EXECUTOR_UNSUPPORTED, field,
      " is set; expected it unset, because the embedded executor does not support it. Remove it.");
}

// Of an option that has one supported value.
[[noreturn]] inline void RefuseValue(const std::string& field, const std::string& found, const std::string& supported) {
  throw executor::OptionFailure(
      EXECUTOR_UNSUPPORTED, field,
      " is " + found + "; expected " + supported + ", the only value that the embedded executor supports. Remove it.");
}

}  // namespace embedded

#endif  // EMBEDDED_REFUSE_H_
