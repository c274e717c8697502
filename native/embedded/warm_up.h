// A first request that nobody waits for.
#ifndef EMBEDDED_WARM_UP_H_
#define EMBEDDED_WARM_UP_H_

#include "native/embedded/limits.h"
#include "native/embedded/model_runner.h"

namespace embedded {

// Computes prompts and a decode step, so that what a device loads when it is first used (CUDA its kernels) takes no
// caller's time. Nothing is kept of them. Throws like the runner.
void WarmUp(const Limits& limits, int vocab_size, ModelRunner* runner);

}  // namespace embedded

#endif  // EMBEDDED_WARM_UP_H_
