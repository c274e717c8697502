// Matrix products by cuBLASLt: any number of tokens, and the fastest of its algorithms where that was measured.
#ifndef EMBEDDED_CUDA_MATMUL_H_
#define EMBEDDED_CUDA_MATMUL_H_

#include <map>
#include <string>
#include <vector>

#include "native/embedded/cuda/cublaslt.h"
#include "native/embedded/cuda/device.h"
#include "native/embedded/cuda/linear.h"
#include "native/embedded/cuda/matmul_choices.h"
#include "native/embedded/cuda/resources.h"

namespace embedded::cuda {

// For one device and one thread. Products of one Matmul share its workspace, so they must not run at the same time: one stream.
class Matmul {
 public:
  // `choices_dir` as for MatmulChoices. Throws executor::Failure as OpenCublasLt does.
  Matmul(const Device& device, const std::string& choices_dir);
  ~Matmul();
  Matmul(const Matmul&) = delete;
  Matmul& operator=(const Matmul&) = delete;

  // y = x * w^T, or y += that; x is elements [tokens, depth], y [tokens, outputs] as problem.output says. In a stream that is being
  // recorded, every problem must have been run or tuned before: the first time asks cuBLASLt, which takes about 50 us.
  // Throws executor::Failure with EXECUTOR_FAILED where cuBLASLt has no algorithm; HasAlgorithm tells beforehand.
  void Run(const MatmulProblem& problem, const void* weights, const void* x, void* y, cudaStream_t stream);
  bool HasAlgorithm(const MatmulProblem& problem);

  // Measures cuBLASLt's candidates for `problem` over `weights`, matrices of its shape that are read in turn so that the L2 does not
  // hold them, and keeps the fastest; nothing if a choice is known from the file. x and y are as for Run; products of zeros run
  // faster than a model's. Worth it from 32 to 256 tokens, where the first candidate is up to 5 % slower. Waits for the GPU.
  void Tune(const MatmulProblem& problem, const std::vector<const void*>& weights, const void* x, void* y,
            cudaStream_t stream);
  MatmulChoices& choices() { return choices_; }

  const CublasLt& library() const { return library_; }

 private:
  // A product with its descriptions and chosen algorithm.
  class Plan;
  Plan& PlanFor(const MatmulProblem& problem);

  const CublasLt& library_;
  lt::Handle handle_ = nullptr;
  DeviceBuffer workspace_;
  MatmulChoices choices_;
  std::map<MatmulProblem, Plan> plans_;
};

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_MATMUL_H_
