// The linear layers of a model: every call by the fastest kernel that can do it.
#ifndef EMBEDDED_CUDA_LINEAR_LAYERS_H_
#define EMBEDDED_CUDA_LINEAR_LAYERS_H_

#include <cstddef>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "native/embedded/cuda/linear.h"
#include "native/embedded/cuda/matmul.h"

namespace embedded::cuda {

enum class LinearKernel { kPlain, kMatmul, kRing, kBlockRing, kDirect, kPacked, kInvariant };

// What a token's sums may depend on: the other tokens of the call, or its own values alone.
enum class Sums { kFastest, kBatchInvariant };

const char* NameOf(LinearKernel kernel);  // as NODE_TENSORRT_LLM_CUDA_LINEAR takes it

// What a call needs besides its own buffers.
struct LinearScratch {
  void* y = nullptr;         // elements [tokens, outputs], between cuBLASLt and what it cannot do itself
  void* expanded = nullptr;  // elements [outputs, depth], for packed weights

  LinearScratch(void* y, void* expanded = nullptr) : y(y), expanded(expanded) {}
};

class LinearLayers {
 public:
  // For the current device; borrows `matmul`. NODE_TENSORRT_LLM_CUDA_LINEAR names a kernel to be taken wherever it can do a
  // call; throws executor::Failure with EXECUTOR_INVALID_OPTION if it names none. With kBatchInvariant neither that nor what
  // was measured has a say.
  explicit LinearLayers(Matmul* matmul, Sums sums = Sums::kFastest);

  // Whether Run takes `call` with its RMSNorm in it. If not, the caller normalizes first: with more than one token that is cheaper
  // than every block of a kernel doing it again.
  bool FusesNorm(const LinearCall& call) const;
  LinearKernel Choose(const LinearCall& call) const;
  // Measures the kernels that can do calls like `call` (shape, tokens, kinds of input and output), cuBLASLt's algorithms included, over
  // `weights`, matrices of its shape that are read in turn so that the L2 does not hold them; Choose gives the fastest from then on.
  // What call.output and scratch point to is overwritten. Waits for the GPU. Worth it for each batch size of decode: machines of one
  // kind differ in which kernel wins.
  void Tune(const LinearCall& call, const std::vector<const void*>& weights, const LinearScratch& scratch,
            cudaStream_t stream);
  // Likewise, by the file of choices; false where that does not know.
  bool TakeKnown(const LinearCall& call);
  // The input must be ElementsInput unless FusesNorm.
  void Run(const LinearCall& call, const LinearScratch& scratch, cudaStream_t stream) const;
  void RunWith(LinearKernel kernel, const LinearCall& call, const LinearScratch& scratch, cudaStream_t stream) const;
  bool Can(LinearKernel kernel, const LinearCall& call) const;

 private:
  const DeviceTraits& traits_;
  Matmul* matmul_;
  Sums sums_;
  std::optional<LinearKernel> forced_;
  // By element, outputs, depth, form, tokens, and which alternatives input and output are.
  using Key = std::tuple<Element, int, int, decltype(WeightForm{}.key()), int, size_t, size_t>;
  static Key KeyOf(const LinearCall& call);
  std::map<Key, LinearKernel> measured_;
};

// How cuBLASLt computes the call: into its output, or into scratch that FinishLinear then takes.
MatmulProblem ProblemOf(const LinearCall& call);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_LINEAR_LAYERS_H_
