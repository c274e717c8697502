#include "native/embedded/cuda/prefill_attention.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <utility>

#include "native/embedded/cuda/launch.h"
#include "native/embedded/cuda/plain_attention.h"

namespace embedded::cuda {
namespace {

constexpr size_t kIntBytes = size_t{8} << 20;  // FlashInfer's plan; it throws if a step should need more
constexpr int kFa3Tokens = 512;

// FlashInfer's partial results, where it splits a history: it cuts the step into two pieces for each multiprocessor at
// most, takes room for a whole tile of every query head in each, and throws where that is more than it was given.
size_t FloatBytes(const KvLayout& kv, int heads, const DeviceTraits& traits) {
  const size_t tile_tokens = kv.head_dim < 256 ? 128 : 64;
  const size_t pieces = static_cast<size_t>(std::max(2 * traits.multiprocessors / kv.kv_heads, 1));
  const size_t bytes =
      static_cast<size_t>(heads) * pieces * tile_tokens * (static_cast<size_t>(kv.head_dim) + 1) * sizeof(float);
  return (bytes + 256 + 255) / 256 * 256;  // each of its two arrays is aligned
}

bool HasFa2(const KvLayout& kv) {
  const int capability = CurrentDeviceTraits().compute_capability;
  return (kv.head_dim == 64 || kv.head_dim == 128 || kv.head_dim == 256) &&
         capability >= (kv.element == Element::kFloat16 ? 75 : 80);
}
#ifdef EMBEDDED_CUDA_HAS_FA3  // where sm_90a is one of the architectures that the library is built for
bool HasFa3(const KvLayout& kv) { return kv.head_dim == 128 && CurrentDeviceTraits().compute_capability == 90; }
#else
bool HasFa3(const KvLayout&) { return false; }
#endif

// Calls body with the unit that computes this cache: Fa2<T, kDim>() or Fa3<T, kDim>().
template <typename Body>
void WithUnit([[maybe_unused]] PrefillKernel kernel, const KvLayout& kv, Body body) {
  const bool bfloat16 = kv.element == Element::kBfloat16;
#ifdef EMBEDDED_CUDA_HAS_FA3
  if (kernel == PrefillKernel::kFa3) return bfloat16 ? body(Fa3<__nv_bfloat16, 128>()) : body(Fa3<__half, 128>());
#endif
  if (kv.head_dim == 64) return bfloat16 ? body(Fa2<__nv_bfloat16, 64>()) : body(Fa2<__half, 64>());
  if (kv.head_dim == 128) return bfloat16 ? body(Fa2<__nv_bfloat16, 128>()) : body(Fa2<__half, 128>());
  bfloat16 ? body(Fa2<__nv_bfloat16, 256>()) : body(Fa2<__half, 256>());
}

}  // namespace

PrefillAttention::Arrays::Arrays(void* memory, const PrefillLimits& limits) {
  int32_t* next = static_cast<int32_t*>(memory);
  const auto take = [&next](int count) { return std::exchange(next, next + (count + 63) / 64 * 64); };
  query_ends = take(limits.max_sequences + 1);
  block_ends = take(limits.max_sequences + 1);
  contexts = take(limits.max_sequences);
  last_block_tokens = take(limits.max_sequences);
  positions = take(limits.max_rows);
  row_sequences = take(limits.max_rows);
  blocks = take(limits.max_blocks);
}

size_t PrefillAttention::Arrays::Bytes(const PrefillLimits& limits) {
  return sizeof(int32_t) *
         (4 * (static_cast<size_t>(limits.max_sequences) + 64) + 2 * (static_cast<size_t>(limits.max_rows) + 64) +
          static_cast<size_t>(limits.max_blocks) + 64);
}

size_t PrefillAttention::DeviceBytes(const KvLayout& kv, int heads, const PrefillLimits& limits,
                                     const DeviceTraits& traits) {
  return FloatBytes(kv, heads, traits) + kIntBytes + Arrays::Bytes(limits);
}
size_t PrefillAttention::PinnedBytes(const PrefillLimits& limits) {
  return 2 * (kIntBytes + (Arrays::Bytes(limits) + 255) / 256 * 256);
}

PrefillAttention::PrefillAttention(const KvLayout& kv, int heads, float scale, const PrefillLimits& limits,
                                   void* device_memory, void* pinned_memory)
    : kv_(kv),
      heads_(heads),
      scale_(scale),
      limits_(limits),
      float_bytes_(FloatBytes(kv, heads, CurrentDeviceTraits())),
      device_(static_cast<uint8_t*>(device_memory)),
      pinned_(static_cast<uint8_t*>(pinned_memory)) {
  for (cudaEvent_t& event : copied_)
    CheckKernel(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "an event for plans of attention");
}

PrefillAttention::~PrefillAttention() {
  for (cudaEvent_t event : copied_) cudaEventDestroy(event);
}

FlashInferWorkspace PrefillAttention::Workspace() const {
  return {device_, float_bytes_, device_ + float_bytes_,
          pinned_ + static_cast<size_t>(slot_) * (PinnedBytes(limits_) / 2), kIntBytes};
}

PrefillKernel PrefillAttention::Choose(int longest_query) const {
  if (longest_query >= kFa3Tokens && Has(PrefillKernel::kFa3)) return PrefillKernel::kFa3;
  return Has(PrefillKernel::kFa2) ? PrefillKernel::kFa2 : PrefillKernel::kPlain;
}

bool PrefillAttention::Has(PrefillKernel kernel) const {
  if (kernel == PrefillKernel::kFa3) return HasFa3(kv_);
  return kernel == PrefillKernel::kPlain || HasFa2(kv_);
}

void PrefillAttention::Plan(const std::vector<PrefillSequence>& sequences, PrefillKernel kernel, cudaStream_t stream) {
  kernel_ = kernel;
  slot_ = 1 - slot_;
  CheckKernel(cudaEventSynchronize(copied_[slot_]), "the plan before the last");
  const FlashInferWorkspace workspace = Workspace();
  Arrays host(static_cast<uint8_t*>(workspace.pinned) + kIntBytes, limits_);
  Arrays device(static_cast<uint8_t*>(workspace.ints) + kIntBytes, limits_);
  bool has_history = false;
  int rows = 0, blocks = 0, index = 0;
  host.query_ends[0] = host.block_ends[0] = 0;
  for (const PrefillSequence& sequence : sequences) {
    const int used = (sequence.context_tokens + kv_.tokens_per_block - 1) / kv_.tokens_per_block;
    const int history = sequence.context_tokens - sequence.query_tokens;
    has_history = has_history || history > 0;
    for (int i = 0; i < sequence.query_tokens; ++i, ++rows) {
      host.positions[rows] = history + i;
      host.row_sequences[rows] = index;
    }
    std::copy_n(sequence.block_table, used, host.blocks + blocks);
    blocks += used;
    host.contexts[index] = sequence.context_tokens;
    host.last_block_tokens[index] = sequence.context_tokens - (used - 1) * kv_.tokens_per_block;
    ++index;
    host.query_ends[index] = rows;
    host.block_ends[index] = blocks;
  }
  const size_t bytes = static_cast<size_t>(reinterpret_cast<uint8_t*>(host.blocks + blocks) -
                                           reinterpret_cast<uint8_t*>(host.query_ends));
  CheckKernel(cudaMemcpyAsync(device.query_ends, host.query_ends, bytes, cudaMemcpyHostToDevice, stream),
              "the plan of attention");
  step_ = {
      host.query_ends, host.block_ends, host.contexts, rows,
      index,           heads_,          kv_,           has_history ? SplitHistory::kWhereUseful : SplitHistory::kNever};
  if (kernel != PrefillKernel::kPlain)
    WithUnit(kernel, kv_, [&](auto unit) { plan_ = decltype(unit)::Plan(workspace, step_, stream); });
  CheckKernel(cudaEventRecord(copied_[slot_], stream), "the plan of attention");
}

void PrefillAttention::Run(const PrefillLayer& layer, cudaStream_t stream) {
  const FlashInferWorkspace workspace = Workspace();
  const Arrays device(static_cast<uint8_t*>(workspace.ints) + kIntBytes, limits_);
  if (kernel_ == PrefillKernel::kPlain || layer.window) {
    PlainAttention({kv_, step_.rows, heads_, 0, layer.query_stride, scale_, layer.window},
                   {layer.queries, layer.keys, layer.values, device.positions, device.row_sequences, device.blocks,
                    layer.out, device.block_ends},
                   stream);
    return;
  }
  const FlashInferLayer given{
      layer.queries, layer.query_stride,       layer.keys, layer.values, device.query_ends, device.block_ends,
      device.blocks, device.last_block_tokens, layer.out,  scale_};
  WithUnit(kernel_, kv_, [&](auto unit) { decltype(unit)::Run(workspace, plan_, step_, given, stream); });
}

}  // namespace embedded::cuda
