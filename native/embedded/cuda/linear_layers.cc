#include "native/embedded/cuda/linear_layers.h"

#include <cstdlib>
#include <iterator>
#include <limits>
#include <string>

#include "native/embedded/cuda/invariant_linear.h"
#include "native/embedded/cuda/timing.h"

namespace embedded::cuda {
namespace {

constexpr char kVariable[] = "NODE_TENSORRT_LLM_CUDA_LINEAR";
constexpr LinearKernel kAll[] = {LinearKernel::kPlain,     LinearKernel::kMatmul, LinearKernel::kRing,
                                 LinearKernel::kBlockRing, LinearKernel::kDirect, LinearKernel::kPacked,
                                 LinearKernel::kInvariant};

std::optional<LinearKernel> ForcedKernel() {
  const char* const forced = std::getenv(kVariable);
  if (forced == nullptr || *forced == 0) return std::nullopt;
  std::string names;
  for (const LinearKernel kernel : kAll) {
    if (std::string(forced) == NameOf(kernel)) return kernel;
    names += (names.empty() ? "" : ", ") + std::string(NameOf(kernel));
  }
  throw executor::Failure(EXECUTOR_INVALID_OPTION, std::string("The environment variable ") + kVariable + " is \"" +
                                                       forced + "\"; expected one of " + names + ". Unset it.");
}

// "bfloat16/6144/4096/64/elements/rope": a call's layer in the file of choices. Packed weights: "bfloat16-int4-groups128/...".
std::string LayerOf(const LinearCall& call) {
  constexpr const char* kCodes[] = {"", "-int8", "-int4", "-fp8"};
  constexpr const char* kScales[] = {"",          "-groups128",     "-groups128-zeros", "-groups32", "-groups32-zeros",
                                     "-groups16", "-groups16-zeros"};
  constexpr const char* kInputs[] = {"elements", "normalized"};
  constexpr const char* kOutputs[] = {"elements", "floats", "hidden", "silu", "rope"};
  static_assert(std::variant_size_v<LinearInput> == std::size(kInputs) &&
                std::variant_size_v<LinearOutput> == std::size(kOutputs));
  return std::string(call.shape.element == Element::kFloat16 ? "float16" : "bfloat16") +
         kCodes[static_cast<int>(call.shape.form.codes)] + kScales[static_cast<int>(call.shape.form.scales)] + '/' +
         std::to_string(call.shape.outputs) + '/' + std::to_string(call.shape.depth) + '/' +
         std::to_string(call.tokens) + '/' + kInputs[call.input.index()] + '/' + kOutputs[call.output.index()];
}

// Where cuBLASLt writes the call's result itself; null if it cannot.
void* DirectOutput(const LinearOutput& output) {
  if (const auto* const elements = std::get_if<ElementsOutput>(&output)) return elements->y;
  if (const auto* const floats = std::get_if<FloatsOutput>(&output)) return floats->y;
  if (const auto* const hidden = std::get_if<HiddenOutput>(&output)) return hidden->hidden;
  return nullptr;
}

// The call over its weights as elements.
LinearCall Expanded(const LinearCall& call, const void* expanded) {
  LinearCall plain = call;
  plain.shape.form = {};
  plain.weights = expanded;
  return plain;
}

}  // namespace

const char* NameOf(LinearKernel kernel) {
  switch (kernel) {
    case LinearKernel::kPlain:
      return "plain";
    case LinearKernel::kMatmul:
      return "cublaslt";
    case LinearKernel::kRing:
      return "ring";
    case LinearKernel::kBlockRing:
      return "block-ring";
    case LinearKernel::kDirect:
      return "direct";
    case LinearKernel::kPacked:
      return "packed";
    case LinearKernel::kInvariant:
      return "invariant";
  }
  return "";
}

MatmulProblem ProblemOf(const LinearCall& call) {
  const MatmulOutput output = std::holds_alternative<FloatsOutput>(call.output)   ? MatmulOutput::kFloats
                              : std::holds_alternative<HiddenOutput>(call.output) ? MatmulOutput::kAddToFloats
                                                                                  : MatmulOutput::kElements;
  LinearShape shape = call.shape;
  shape.form = {};  // expanded before
  return {shape, call.tokens, output};
}

LinearLayers::LinearLayers(Matmul* matmul, Sums sums)
    : traits_(CurrentDeviceTraits()), matmul_(matmul), sums_(sums), forced_(ForcedKernel()) {}

bool LinearLayers::Can(LinearKernel kernel, const LinearCall& call) const {
  const bool is_packed = call.shape.form.is_packed();
  switch (kernel) {
    case LinearKernel::kPlain:
      return true;
    case LinearKernel::kMatmul:
      return std::holds_alternative<ElementsInput>(call.input) && matmul_->HasAlgorithm(ProblemOf(call));
    case LinearKernel::kPacked:
      return is_packed && CanPackedLinear(call, traits_);
    case LinearKernel::kInvariant:
      return CanInvariantLinear(Expanded(call, nullptr), traits_);
    case LinearKernel::kRing:
    case LinearKernel::kBlockRing:
    case LinearKernel::kDirect:
      if (is_packed) return false;
      break;
  }
  switch (kernel) {
    case LinearKernel::kRing:
      return CanRingGemv(call, traits_);
    case LinearKernel::kBlockRing:
      return CanBlockRingGemv(call, traits_);
    case LinearKernel::kDirect:
      return CanDirectGemv(call, traits_);
    default:
      return false;
  }
}

bool LinearLayers::FusesNorm(const LinearCall& call) const {
  const LinearKernel kernel = Choose(call);
  return kernel == LinearKernel::kRing || kernel == LinearKernel::kDirect || kernel == LinearKernel::kPacked;
}

LinearKernel LinearLayers::Choose(const LinearCall& call) const {
  if (sums_ == Sums::kBatchInvariant) {
    if (!Can(LinearKernel::kInvariant, call)) return LinearKernel::kPlain;
    return Can(LinearKernel::kBlockRing, call) ? LinearKernel::kBlockRing : LinearKernel::kInvariant;  // the same bits
  }
  if (forced_ && Can(*forced_, call)) return *forced_;
  if (const auto measured = measured_.find(KeyOf(call)); measured != measured_.end()) return measured->second;
  // As measured on an H200 at Llama's shapes: the own kernels win up to 8 tokens everywhere, and up to 16 but for long sums.
  constexpr int kFewTokens = 8;
  constexpr int kLongDepth = 8192;
  if (Can(LinearKernel::kPacked, call)) return LinearKernel::kPacked;
  if (Can(LinearKernel::kRing, call)) return LinearKernel::kRing;
  if (Can(LinearKernel::kDirect, call)) return LinearKernel::kDirect;
  const bool own = call.tokens <= kFewTokens || call.shape.depth <= kLongDepth;
  if (own && Can(LinearKernel::kBlockRing, call)) return LinearKernel::kBlockRing;
  return Can(LinearKernel::kMatmul, call) ? LinearKernel::kMatmul : LinearKernel::kPlain;
}

LinearLayers::Key LinearLayers::KeyOf(const LinearCall& call) {
  const LinearShape& shape = call.shape;
  return {shape.element, shape.outputs,      shape.depth,        shape.form.key(),
          call.tokens,   call.input.index(), call.output.index()};
}

bool LinearLayers::TakeKnown(const LinearCall& call) {
  const std::optional<std::string> known = matmul_->choices().FindKernel(LayerOf(call));
  for (const LinearKernel kernel : kAll) {
    if (known != NameOf(kernel) || !Can(kernel, call)) continue;
    measured_.insert_or_assign(KeyOf(call), kernel);
    return true;
  }
  return false;
}

void LinearLayers::Tune(const LinearCall& call, const std::vector<const void*>& weights, const LinearScratch& scratch,
                        cudaStream_t stream) {
  if (const auto* const input = std::get_if<ElementsInput>(&call.input)) {
    void* const direct = DirectOutput(call.output);
    const bool is_packed = call.shape.form.is_packed();
    if (is_packed) ExpandWeights(call.shape, call.weights, scratch.expanded, stream);
    matmul_->Tune(ProblemOf(call), is_packed ? std::vector<const void*>{scratch.expanded} : weights, input->x,
                  direct != nullptr ? direct : scratch.y, stream);
  }
  const int launches = LaunchesToTime(call.shape.weight_bytes());
  float fastest = std::numeric_limits<float>::infinity();
  for (const LinearKernel kernel : kAll) {
    if (kernel == LinearKernel::kPlain || kernel == LinearKernel::kInvariant || !Can(kernel, call)) continue;
    RunWith(kernel, call, scratch, stream);  // loads it, which recording may not
    const GraphExec graph = CaptureGraph(stream, [&](cudaStream_t recorded) {
      LinearCall rotating = call;
      for (int i = 0; i < launches; ++i) {
        rotating.weights = weights[static_cast<size_t>(i) % weights.size()];
        RunWith(kernel, rotating, scratch, recorded);
      }
    });
    const float ms = MedianReplayMs(graph, fastest, stream);
    if (ms >= fastest) continue;
    fastest = ms;
    measured_.insert_or_assign(KeyOf(call), kernel);
    matmul_->choices().SetKernel(LayerOf(call), NameOf(kernel));
  }
}

void LinearLayers::Run(const LinearCall& call, const LinearScratch& scratch, cudaStream_t stream) const {
  RunWith(Choose(call), call, scratch, stream);
}

void LinearLayers::RunWith(LinearKernel kernel, const LinearCall& call, const LinearScratch& scratch,
                           cudaStream_t stream) const {
  if (kernel == LinearKernel::kPacked) return PackedLinear(call, scratch.expanded, stream);
  if (call.shape.form.is_packed()) {
    ExpandWeights(call.shape, call.weights, scratch.expanded, stream);
    return RunWith(kernel, Expanded(call, scratch.expanded), scratch, stream);
  }
  switch (kernel) {
    case LinearKernel::kPlain:
      return PlainLinear(call, stream);
    case LinearKernel::kRing:
      return RingGemv(call, stream);
    case LinearKernel::kBlockRing:
      return BlockRingGemv(call, stream);
    case LinearKernel::kDirect:
      return DirectGemv(call, stream);
    case LinearKernel::kInvariant:
      return InvariantLinear(call, stream);
    case LinearKernel::kMatmul:
    case LinearKernel::kPacked:
      break;
  }
  void* const direct = DirectOutput(call.output);
  matmul_->Run(ProblemOf(call), call.weights, std::get<ElementsInput>(call.input).x,
               direct != nullptr ? direct : scratch.y, stream);
  if (direct == nullptr) FinishLinear(call, scratch.y, stream);
}

}  // namespace embedded::cuda
