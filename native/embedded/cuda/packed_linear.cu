#include <limits>
#include <optional>

#include "native/embedded/cuda/linear.h"
#include "native/embedded/cuda/packed_launch.cuh"
#include "native/embedded/cuda/packed_linear.cuh"

namespace embedded::cuda {

// packed_*.cu
#define DECLARED(codes, scales)                                                                                  \
  extern template void LaunchPacked<Codes::codes, Scales::scales>(const LinearCall&, const PackedPlan&, float2*, \
                                                                  cudaStream_t)
DECLARED(kInt4, kRows);
DECLARED(kInt4, kGroups128);
DECLARED(kInt4, kGroups128Zeros);
DECLARED(kInt4, kGroups32);
DECLARED(kInt4, kGroups32Zeros);
DECLARED(kInt8, kRows);
DECLARED(kInt8, kGroups32);
DECLARED(kInt8, kGroups32Zeros);
DECLARED(kInt8, kGroups16);
DECLARED(kInt8, kGroups16Zeros);
DECLARED(kFp8, kRows);
#undef DECLARED

namespace {

constexpr int kFirstWithBfloat16Products = 80;
constexpr int kThreads = 256;

PackedLauncher LauncherOf(const WeightForm& form) {
  struct Known {
    Codes codes;
    Scales scales;
    PackedLauncher launcher;
  };
  static constexpr Known kKnown[] = {
      {Codes::kInt4, Scales::kRows, LaunchPacked<Codes::kInt4, Scales::kRows>},
      {Codes::kInt4, Scales::kGroups128, LaunchPacked<Codes::kInt4, Scales::kGroups128>},
      {Codes::kInt4, Scales::kGroups128Zeros, LaunchPacked<Codes::kInt4, Scales::kGroups128Zeros>},
      {Codes::kInt4, Scales::kGroups32, LaunchPacked<Codes::kInt4, Scales::kGroups32>},
      {Codes::kInt4, Scales::kGroups32Zeros, LaunchPacked<Codes::kInt4, Scales::kGroups32Zeros>},
      {Codes::kInt8, Scales::kRows, LaunchPacked<Codes::kInt8, Scales::kRows>},
      {Codes::kInt8, Scales::kGroups32, LaunchPacked<Codes::kInt8, Scales::kGroups32>},
      {Codes::kInt8, Scales::kGroups32Zeros, LaunchPacked<Codes::kInt8, Scales::kGroups32Zeros>},
      {Codes::kInt8, Scales::kGroups16, LaunchPacked<Codes::kInt8, Scales::kGroups16>},
      {Codes::kInt8, Scales::kGroups16Zeros, LaunchPacked<Codes::kInt8, Scales::kGroups16Zeros>},
      {Codes::kFp8, Scales::kRows, LaunchPacked<Codes::kFp8, Scales::kRows>},
  };
  for (const Known& known : kKnown)
    if (known.codes == form.codes && known.scales == form.scales) return known.launcher;
  return nullptr;
}

// How many units of the output lie how far apart.
int PairDistanceOf(const LinearCall& call) {
  if (std::holds_alternative<SiluOutput>(call.output)) return call.shape.outputs / 2;
  if (const auto* const rope = std::get_if<RopeAppendOutput>(&call.output)) return rope->head_dim / 2;
  return 1;
}

// As many slices as x needs to fit.
std::optional<PackedPlan> MakePlan(const LinearCall& call, const DeviceTraits& traits) {
  const WeightForm& form = call.shape.form;
  const PackedShape packed(call.shape.outputs, call.shape.depth);
  int token_fragments = 1;
  while (token_fragments * kFragmentTokens < call.tokens) token_fragments *= 2;
  PackedPlan plan{};
  plan.warps = PackedWarps(token_fragments);
  plan.sum_buffers = PackedSumBuffers(token_fragments);
  plan.tokens = call.tokens;
  plan.depth = call.shape.depth;
  plan.steps = packed.steps;
  plan.tiles = packed.tiles;
  plan.ring_bytes = plan.warps * PackedStages(form, token_fragments) * form.record_bytes();
  plan.row_scales_offset = packed.row_scales_offset(form);
  for (plan.slices = 1;; ++plan.slices) {
    plan.slice_steps = CeilDivide(plan.steps, plan.slices);
    if (plan.bytes() <= SharedMemoryPerBlock(traits)) break;
    if (plan.slice_steps == 1) return std::nullopt;
  }
  plan.slices = CeilDivide(plan.steps, plan.slice_steps);
  // As few steps of a warp, one after the other, as possible; a tile's end takes about as long as two.
  constexpr int kTileEnd = 2;
  const int tiles_each = CeilDivide(plan.tiles * plan.slices, traits.multiprocessors);
  int fewest = std::numeric_limits<int>::max();
  for (int groups = 1; groups <= plan.warps / 2; groups *= 2) {
    const int split = plan.warps / groups;
    const int steps = CeilDivide(tiles_each, groups) * (CeilDivide(plan.slice_steps, split) + kTileEnd);
    if (steps >= fewest) continue;
    fewest = steps;
    plan.split = split;
  }
  return plan;
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    FinishPackedKernel(const float2* partial, int slices, int tokens, AnyOutput<T> output) {
  ptx::LaunchDependents();
  ptx::WaitForEarlierKernels();
  const int unit = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (unit >= output.units()) return;
  const int token = static_cast<int>(blockIdx.y);
  const auto place = output.ForToken(token);
  const float2 operands = output.Load(place, token, unit);
  float2 sum{};
  for (int slice = 0; slice < slices; ++slice) {
    const float2 part = __ldcg(partial + (static_cast<size_t>(slice) * tokens + token) * output.units() + unit);
    sum.x += part.x;
    sum.y += part.y;
  }
  output.Store(place, token, unit, operands, sum.x, sum.y);
}

}  // namespace

bool CanPackedLinear(const LinearCall& call, const DeviceTraits& traits) {
  const LinearShape& shape = call.shape;
  if (traits.compute_capability < kFirstWithBfloat16Products || LauncherOf(shape.form) == nullptr) return false;
  if (call.tokens < 1 || call.tokens > kPackedMaxTokens || shape.depth % kElementsPerLoad != 0) return false;
  if (shape.form.pair_distance != PairDistanceOf(call)) return false;
  const std::optional<PackedPlan> plan = MakePlan(call, traits);
  if (!plan) return false;
  if (std::holds_alternative<NormalizedInput>(call.input)) return call.tokens == 1 && plan->slices == 1;
  return plan->slices == 1 || sizeof(float) * plan->slices * call.tokens <= kElementBytes * size_t(shape.depth);
}

void PackedLinear(const LinearCall& call, void* expanded, cudaStream_t stream) {
  const PackedPlan plan = MakePlan(call, CurrentDeviceTraits()).value();
  LauncherOf(call.shape.form)(call, plan, static_cast<float2*>(expanded), stream);
  if (plan.slices == 1) return;
  WithElement(call.shape.element, [&](auto element) {
    const AnyOutput<decltype(element)> output(call);
    Launch("finish_packed", FinishPackedKernel<decltype(element)>,
           {dim3(static_cast<unsigned>(CeilDivide(output.units(), kThreads)), static_cast<unsigned>(call.tokens)),
            dim3(kThreads)},
           stream, static_cast<const float2*>(expanded), plan.slices, call.tokens, output);
  });
}

}  // namespace embedded::cuda
