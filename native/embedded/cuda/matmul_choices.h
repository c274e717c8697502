// Which of cuBLASLt's algorithms was measured fastest for a matrix product, and which kernel for a linear layer, kept in a file
// between loads.
#ifndef EMBEDDED_CUDA_MATMUL_CHOICES_H_
#define EMBEDDED_CUDA_MATMUL_CHOICES_H_

#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "native/embedded/cuda/cublaslt.h"
#include "native/embedded/cuda/device.h"
#include "native/embedded/cuda/linear.h"

namespace embedded::cuda {

// What becomes of a product: elements, floats, or floats added to what is there.
enum class MatmulOutput { kElements, kFloats, kAddToFloats };

// y[tokens, outputs] of x[tokens, depth] and w[outputs, depth].
struct MatmulProblem {
  LinearShape shape;
  int tokens;
  MatmulOutput output;

  auto key() const { return std::make_tuple(shape.element, shape.outputs, shape.depth, tokens, output); }
  bool operator<(const MatmulProblem& other) const { return key() < other.key(); }
};

// One for each GPU model, driver and cuBLASLt: a choice made with other ones may be slow or wrong.
class MatmulChoices {
 public:
  // `dir` is made when something is saved. Empty: nothing is read or written.
  MatmulChoices(const std::string& dir, const Device& device, size_t cublaslt_version);

  std::optional<lt::Algorithm> Find(const MatmulProblem& problem) const;
  void Set(const MatmulProblem& problem, const lt::Algorithm& algorithm);
  // Likewise for kernels: a layer and a kernel are words without spaces.
  std::optional<std::string> FindKernel(const std::string& layer) const;
  void SetKernel(const std::string& layer, const std::string& kernel);
  // Writes what was set since the last time, beside what other processes wrote. Without it nothing but time is lost, so a file that
  // cannot be written is no failure.
  void Save();

 private:
  void Read();

  std::string path_;
  bool unsaved_ = false;
  std::map<MatmulProblem, lt::Algorithm> algorithms_;
  std::map<std::string, std::string> kernels_;  // by layer
};

// $XDG_CACHE_HOME/node-tensorrt-llm/matmul or ~/.cache/node-tensorrt-llm/matmul; empty where neither is known.
std::string DefaultMatmulChoicesDir();

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_MATMUL_CHOICES_H_
