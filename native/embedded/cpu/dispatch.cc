#include "native/embedded/cpu/dispatch.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "native/executor/cpp/failure.h"

namespace embedded::cpu {
namespace {

// By CPUID, where a version of GCC or Clang does not know the name.
bool HasF16c() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

bool HasAvx512Bf16() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax >> 5 & 1) != 0;
}

// Tiles, of bfloat16 and of bytes.
bool HasAmx() {
  constexpr unsigned kAll = 1u << 24 | 1u << 22 | 1u << 25;
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & kAll) == kAll;
}

// A process has to ask the kernel for the tiles' registers, once for all its threads. An old kernel, or a container's
// filter of system calls, refuses.
bool MayUseTiles() {
  constexpr int kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  static const bool permitted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return permitted;
}

// Sets with VNNI's products of blocks, which every processor has that has those of bfloat16.
Kernels WithVnni(Kernels kernels, const char* name) {
  kernels.name = name;
  UseVnniBlocks(&kernels);
  return kernels;
}

const Kernels& Avx512VnniKernels() {
  static const Kernels kernels = WithVnni(kAvx512Kernels, "avx512_vnni");
  return kernels;
}

const Kernels& Avx512Bf16Kernels() {
  static const Kernels kernels = WithVnni(kAvx512Bf16Kernels, "avx512_bf16");
  return kernels;
}

const Kernels& AmxKernels() {
  static const Kernels kernels = [] {
    Kernels all = WithVnni(kAmxKernels, "amx");
    UseAmxBlocks(&all);
    return all;
  }();
  return kernels;
}

}  // namespace

std::vector<const Kernels*> SupportedKernels() {
  std::vector<const Kernels*> supported;
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && HasF16c();
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
  const bool bf16 = vnni && HasAvx512Bf16();
  // Intel's processors do half as many of its products in the same time as of AVX-512's own, AMD's twice as many.
  const bool slow_bf16 = __builtin_cpu_is("intel");
  if (bf16 && HasAmx() && MayUseTiles()) supported.push_back(&AmxKernels());
  if (bf16 && !slow_bf16) supported.push_back(&Avx512Bf16Kernels());
  if (vnni) supported.push_back(&Avx512VnniKernels());
  if (avx512) supported.push_back(&kAvx512Kernels);
  if (bf16 && slow_bf16) supported.push_back(&Avx512Bf16Kernels());
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
