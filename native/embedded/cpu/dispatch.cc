#include "native/embedded/cpu/dispatch.h"

#include <cpuid.h>

#include <cstdlib>
#include <string>

#include "native/executor/cpp/failure.h"

namespace embedded::cpu {
namespace {

// __builtin_cpu_supports knows "f16c" in GCC, but not in Clang 14.
bool HasF16c() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

}  // namespace

std::vector<const Kernels*> SupportedKernels() {
  std::vector<const Kernels*> supported;
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && HasF16c();
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
  throw executor::Failure(EXECUTOR_INVALID_OPTION, "The environment variable NODE_TENSORRT_LLM_CPU_KERNELS is \"" +
                                                       std::string(forced) +
                                                       "\"; expected one that this machine supports: " + names + ".");
}

}  // namespace embedded::cpu
