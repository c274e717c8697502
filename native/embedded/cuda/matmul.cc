#include "native/embedded/cuda/matmul.h"

#include <cstdint>
#include <limits>

#include "native/embedded/cuda/check.h"
#include "native/embedded/cuda/timing.h"

namespace embedded::cuda {
namespace {

constexpr size_t kWorkspaceBytes = size_t{64} << 20;
constexpr int kCandidates = 16;  // asked for; about 8 are given
constexpr float kOne = 1;
constexpr float kZero = 0;

cudaDataType_t ElementType(Element type) { return type == Element::kBfloat16 ? CUDA_R_16BF : CUDA_R_16F; }

}  // namespace

class Matmul::Plan {
 public:
  Plan(const CublasLt& library, lt::Handle handle, const MatmulProblem& problem)
      : library_(library), handle_(handle), problem_(problem) {
    // cuBLASLt is column-major: row-major w [outputs, depth] is a column-major depth x outputs, to be transposed, and y comes out as
    // a column-major outputs x tokens.
    const LinearShape& shape = problem.shape;
    const cudaDataType_t type = ElementType(shape.element);
    const cudaDataType_t output = problem.output == MatmulOutput::kElements ? type : CUDA_R_32F;
    constexpr char kDescribing[] = "describing a matrix product";
    library.Check(library.MatmulDescCreate(&operation_, lt::kComputeFloat32, CUDA_R_32F), kDescribing);
    library.Check(library.MatmulDescSetAttribute(operation_, lt::kTransposeA, &lt::kTranspose, sizeof(lt::kTranspose)),
                  kDescribing);
    const uint64_t depth = static_cast<uint64_t>(shape.depth);
    const uint64_t outputs = static_cast<uint64_t>(shape.outputs);
    const uint64_t tokens = static_cast<uint64_t>(problem.tokens);
    library.Check(library.MatrixLayoutCreate(&weights_, type, depth, outputs, shape.depth), kDescribing);
    library.Check(library.MatrixLayoutCreate(&x_, type, depth, tokens, shape.depth), kDescribing);
    library.Check(library.MatrixLayoutCreate(&y_, output, outputs, tokens, shape.outputs), kDescribing);
  }
  ~Plan() {
    if (y_ != nullptr) library_.MatrixLayoutDestroy(y_);
    if (x_ != nullptr) library_.MatrixLayoutDestroy(x_);
    if (weights_ != nullptr) library_.MatrixLayoutDestroy(weights_);
    if (operation_ != nullptr) library_.MatmulDescDestroy(operation_);
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  // Best first, by cuBLASLt's own estimate; none where it cannot do this.
  std::vector<lt::Algorithm> Candidates() const {
    lt::Preference preference = nullptr;
    library_.Check(library_.MatmulPreferenceCreate(&preference), "asking for algorithms");
    std::vector<lt::Candidate> found(kCandidates);
    int count = 0;
    lt::Status status = library_.MatmulPreferenceSetAttribute(preference, lt::kMaxWorkspaceBytes, &kWorkspaceBytes,
                                                              sizeof(kWorkspaceBytes));
    if (status == lt::kSuccess)
      status = library_.MatmulAlgoGetHeuristic(handle_, operation_, weights_, x_, y_, y_, preference, kCandidates,
                                               found.data(), &count);
    library_.MatmulPreferenceDestroy(preference);
    std::vector<lt::Algorithm> algorithms;
    for (int i = 0; status == lt::kSuccess && i < count; ++i)
      if (found[static_cast<size_t>(i)].status == lt::kSuccess)
        algorithms.push_back(found[static_cast<size_t>(i)].algorithm);
    return algorithms;
  }
  // Whether `algorithm`, from a file, can do this.
  bool Accepts(const lt::Algorithm& algorithm) const {
    lt::Candidate checked{};
    return library_.MatmulAlgoCheck(handle_, operation_, weights_, x_, y_, y_, &algorithm, &checked) == lt::kSuccess &&
           checked.status == lt::kSuccess && checked.workspace_bytes <= kWorkspaceBytes;
  }

  void Choose(const lt::Algorithm& algorithm) { chosen_ = algorithm; }
  bool has_choice() const { return chosen_.has_value(); }

  lt::Status Run(const lt::Algorithm& algorithm, const void* weights, const void* x, void* y, void* workspace,
                 cudaStream_t stream) const {
    const float* const beta = problem_.output == MatmulOutput::kAddToFloats ? &kOne : &kZero;
    return library_.Matmul(handle_, operation_, &kOne, weights, weights_, x, x_, beta, y, y_, y, y_, &algorithm,
                           workspace, kWorkspaceBytes, stream);
  }
  void RunChosen(const void* weights, const void* x, void* y, void* workspace, cudaStream_t stream) const {
    library_.Check(Run(chosen_.value(), weights, x, y, workspace, stream), "starting a matrix product");
  }

 private:
  const CublasLt& library_;
  lt::Handle handle_;
  MatmulProblem problem_;
  lt::Operation operation_ = nullptr;
  lt::Layout weights_ = nullptr;
  lt::Layout x_ = nullptr;
  lt::Layout y_ = nullptr;
  std::optional<lt::Algorithm> chosen_;
};

Matmul::Matmul(const Device& device, const std::string& choices_dir)
    : library_(OpenCublasLt()),
      workspace_(kWorkspaceBytes, "the workspace of matrix products"),
      choices_(choices_dir, device, library_.version) {
  library_.Check(library_.Create(&handle_), "starting cuBLASLt");
}

Matmul::~Matmul() {
  plans_.clear();
  if (handle_ != nullptr) library_.Destroy(handle_);
}

Matmul::Plan& Matmul::PlanFor(const MatmulProblem& problem) {
  const auto found = plans_.find(problem);
  if (found != plans_.end()) return found->second;
  Plan& plan = plans_.try_emplace(problem, library_, handle_, problem).first->second;
  const std::optional<lt::Algorithm> known = choices_.Find(problem);
  if (known && plan.Accepts(*known)) {
    plan.Choose(*known);
  } else if (const std::vector<lt::Algorithm> candidates = plan.Candidates(); !candidates.empty()) {
    plan.Choose(candidates.front());
  }
  return plan;
}

bool Matmul::HasAlgorithm(const MatmulProblem& problem) { return PlanFor(problem).has_choice(); }

void Matmul::Run(const MatmulProblem& problem, const void* weights, const void* x, void* y, cudaStream_t stream) {
  const Plan& plan = PlanFor(problem);
  if (!plan.has_choice())
    throw executor::Failure(EXECUTOR_FAILED, "cuBLASLt has no algorithm for " + std::to_string(problem.tokens) + " x " +
                                                 std::to_string(problem.shape.outputs) + " x " +
                                                 std::to_string(problem.shape.depth) + " " +
                                                 (problem.shape.element == Element::kFloat16 ? "float16" : "bfloat16") +
                                                 "; expected one. Please report this with the GPU's name.");
  plan.RunChosen(weights, x, y, workspace_.data(), stream);
}

void Matmul::Tune(const MatmulProblem& problem, const std::vector<const void*>& weights, const void* x, void* y,
                  cudaStream_t stream) {
  Plan& plan = PlanFor(problem);
  const std::optional<lt::Algorithm> known = choices_.Find(problem);
  if (!plan.has_choice() || weights.empty() || (known && plan.Accepts(*known))) return;

  const int launches = LaunchesToTime(problem.shape.weight_bytes());
  float fastest = std::numeric_limits<float>::infinity();
  for (const lt::Algorithm& candidate : plan.Candidates()) {
    // Once before it is recorded: that loads it.
    bool runs = plan.Run(candidate, weights.front(), x, y, workspace_.data(), stream) == lt::kSuccess;
    const GraphExec graph = CaptureGraph(stream, [&](cudaStream_t recorded) {
      for (int i = 0; i < launches && runs; ++i)
        runs = plan.Run(candidate, weights[static_cast<size_t>(i) % weights.size()], x, y, workspace_.data(),
                        recorded) == lt::kSuccess;
    });
    if (!runs) continue;
    const float ms = MedianReplayMs(graph, fastest, stream);
    if (ms >= fastest) continue;
    fastest = ms;
    plan.Choose(candidate);
    choices_.Set(problem, candidate);
  }
}

}  // namespace embedded::cuda
