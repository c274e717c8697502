#include "embedded/cpu/dispatch.h"

#include <cstdlib>
#include <string>

#include "executor/guard.h"

namespace embedded::cpu {

std::vector<const Kernels*> SupportedKernels() {
  std::vector<const Kernels*> supported;
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (avx512) supported.push_back(&kAvx512Kernels);
  if (avx2) supported.push_back(&kAvx2Kernels);
  supported.push_back(&kScalarKernels);
  return supported;
}

const Kernels& SelectKernels() {
  const std::vector<const Kernels*> supported = SupportedKernels();
  const char* forced = std::getenv("NODE_TENSORRT_LLM_CPU_KERNELS");
  if (forced == nullptr) return *supported.front();
  std::string names;
  for (const Kernels* kernels : supported) {
    if (std::string(forced) == kernels->name) return *kernels;
    names += (names.empty() ? "" : ", ") + std::string(kernels->name);
  }
  throw executor::Failure(EXECUTOR_INVALID_OPTION, "the environment variable NODE_TENSORRT_LLM_CPU_KERNELS is \"" +
                                                       std::string(forced) + "\"; this machine has " + names);
}

}  // namespace embedded::cpu
