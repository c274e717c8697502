// Which kernels this machine runs.
#ifndef EMBEDDED_CPU_DISPATCH_H_
#define EMBEDDED_CPU_DISPATCH_H_

#include <vector>

#include "native/embedded/cpu/kernels.h"

namespace embedded::cpu {

// Fastest first; the scalar ones are always among them.
std::vector<const Kernels*> SupportedKernels();

// The fastest, or those that the environment variable NODE_TENSORRT_LLM_CPU_KERNELS names. Throws executor::Failure
// with EXECUTOR_INVALID_OPTION if it names what this machine lacks.
const Kernels& SelectKernels();

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_DISPATCH_H_
