// How the stand-in fails: as NVIDIA's library does, by TllmException with its prefix, a place in a file and a backtrace.
#ifndef STAND_IN_CHECK_H_
#define STAND_IN_CHECK_H_

#include <string>

namespace stand_in {

[[noreturn]] void Throw(const std::string& message, const char* file = __builtin_FILE(), int line = __builtin_LINE());

// Throws "[TensorRT-LLM][ERROR] Assertion failed: <message>" unless it holds.
void Check(bool holds, const std::string& message, const char* file = __builtin_FILE(), int line = __builtin_LINE());

}  // namespace stand_in

#endif  // STAND_IN_CHECK_H_
