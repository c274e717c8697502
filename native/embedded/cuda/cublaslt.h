// cuBLASLt, opened at run time: half a gigabyte that is not shipped with this package. The types below are the part of its C
// interface that is used, the same in versions 12 and 13; cublaslt_test.cc compares them with NVIDIA's header if it is installed.
#ifndef EMBEDDED_CUDA_CUBLASLT_H_
#define EMBEDDED_CUDA_CUBLASLT_H_

#include <cuda_runtime_api.h>
#include <library_types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace embedded::cuda {

namespace lt {

using Handle = struct HandleStruct*;
using Operation = struct OperationStruct*;    // cublasLtMatmulDesc_t
using Layout = struct LayoutStruct*;          // cublasLtMatrixLayout_t
using Preference = struct PreferenceStruct*;  // cublasLtMatmulPreference_t
using Status = int;                           // cublasStatus_t

constexpr Status kSuccess = 0;             // CUBLAS_STATUS_SUCCESS
constexpr int kComputeFloat32 = 68;        // CUBLAS_COMPUTE_32F
constexpr int32_t kTranspose = 1;          // CUBLAS_OP_T
constexpr int kTransposeA = 3;             // CUBLASLT_MATMUL_DESC_TRANSA
constexpr int kMaxWorkspaceBytes = 1;      // CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES
constexpr size_t kOldestVersion = 120000;  // as cublasLtGetVersion counts: 10000 * major + 100 * minor + patch

struct Algorithm {  // cublasLtMatmulAlgo_t
  uint64_t data[8];
};
struct Candidate {  // cublasLtMatmulHeuristicResult_t
  Algorithm algorithm;
  size_t workspace_bytes;
  Status status;
  float waves;
  int reserved[4];
};

}  // namespace lt

// The functions that are used, each named as in the library without the prefix cublasLt.
struct CublasLt {
  std::string path;
  size_t version;

  std::string version_text() const;  // "13.0.2"

  size_t (*GetVersion)();
  const char* (*GetStatusString)(lt::Status);
  lt::Status (*Create)(lt::Handle*);
  lt::Status (*Destroy)(lt::Handle);
  lt::Status (*MatmulDescCreate)(lt::Operation*, int compute_type, cudaDataType_t scale_type);
  lt::Status (*MatmulDescDestroy)(lt::Operation);
  lt::Status (*MatmulDescSetAttribute)(lt::Operation, int attribute, const void* value, size_t bytes);
  lt::Status (*MatrixLayoutCreate)(lt::Layout*, cudaDataType_t, uint64_t rows, uint64_t columns, int64_t stride);
  lt::Status (*MatrixLayoutDestroy)(lt::Layout);
  lt::Status (*MatmulPreferenceCreate)(lt::Preference*);
  lt::Status (*MatmulPreferenceDestroy)(lt::Preference);
  lt::Status (*MatmulPreferenceSetAttribute)(lt::Preference, int attribute, const void* value, size_t bytes);
  lt::Status (*MatmulAlgoGetHeuristic)(lt::Handle, lt::Operation, lt::Layout a, lt::Layout b, lt::Layout c,
                                       lt::Layout d, lt::Preference, int asked, lt::Candidate* candidates, int* given);
  lt::Status (*MatmulAlgoCheck)(lt::Handle, lt::Operation, lt::Layout a, lt::Layout b, lt::Layout c, lt::Layout d,
                                const lt::Algorithm*, lt::Candidate*);
  lt::Status (*Matmul)(lt::Handle, lt::Operation, const void* alpha, const void* a, lt::Layout, const void* b,
                       lt::Layout, const void* beta, const void* c, lt::Layout, void* d, lt::Layout,
                       const lt::Algorithm*, void* workspace, size_t workspace_bytes, cudaStream_t);

  // Throws executor::Failure with EXECUTOR_FAILED where `status` is no success; `what` names what was being done.
  void Check(lt::Status status, const char* what) const;
};

// Where the library may be, best first: what NODE_TENSORRT_LLM_CUBLASLT names (a file or its folder; nothing else then), the loader's
// path, CUDA toolkits, and the wheel nvidia-cublas in the places of Python packages. Entries without a slash are for the loader.
std::vector<std::string> CublasLtCandidates();

// Opens the first candidate that is there, once in the process, and never closes it. Throws executor::Failure with
// EXECUTOR_UNAVAILABLE where none is, or where it is older than lt::kOldestVersion.
const CublasLt& OpenCublasLt();

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_CUBLASLT_H_
