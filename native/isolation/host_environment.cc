#include "native/isolation/host_environment.h"

#include <unistd.h>

#include <algorithm>
#include <string_view>

namespace isolation {
namespace {

// docs/api.md has them too.
constexpr std::string_view kNames[] = {"PATH", "HOME", "USER",     "LOGNAME",       "TMPDIR",
                                       "TZ",   "LANG", "LANGUAGE", "GLIBC_TUNABLES"};
constexpr std::string_view kPrefixes[] = {"LC_",      "LD_",       "XDG_",
                                          "MALLOC_",  "OMP_",      "GOMP_",
                                          "KMP_",     "MKL_",      "CUDA_",
                                          "CUBLAS_",  "CUBLASLT_", "CUDNN_",
                                          "NVIDIA_",  "NVRTC_",    "NCCL_",
                                          "NVSHMEM_", "TRT_",      "TRTLLM_",
                                          "TLLM_",    "TENSORRT_", "OMPI_",
                                          "OPAL_",    "ORTE_",     "PRTE_",
                                          "PMI_",     "PMIX_",     "MPI_",
                                          "HYDRA_",   "MPICH_",    "UCX_",
                                          "FI_",      "IBV_",      "RDMAV_",
                                          "SLURM_",   "ASAN_",     "LSAN_",
                                          "TSAN_",    "UBSAN_",    "NODE_TENSORRT_LLM_"};

bool IsPassed(std::string_view name, const std::vector<std::string>& also) {
  const auto begins_with = [name](std::string_view prefix) { return name.substr(0, prefix.size()) == prefix; };
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames) ||
         std::any_of(std::begin(kPrefixes), std::end(kPrefixes), begins_with) ||
         std::find(also.begin(), also.end(), name) != also.end();
}

}  // namespace

std::vector<std::string> HostEnvironment(const std::vector<std::string>& also) {
  std::vector<std::string> passed;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    if (IsPassed(text.substr(0, text.find('=')), also)) passed.emplace_back(text);
  }
  return passed;
}

}  // namespace isolation
