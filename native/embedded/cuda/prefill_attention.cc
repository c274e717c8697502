#include "native/embedded/cuda/prefill_attention.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "native/embedded/cuda/expand_kv.h"
#include "native/embedded/cuda/launch.h"
#include "native/embedded/cuda/plain_attention.h"

namespace embedded::cuda {
namespace {

constexpr size_t kIntBytes = size_t{8} << 20;  // FlashInfer's plan; it throws if a step should need more
constexpr int kFa3Tokens = 512;

size_t Aligned(size_t bytes) { return (bytes + 255) / 256 * 256; }

// FlashInfer's partial results, where it splits a history: it cuts the step into two pieces for each multiprocessor at
// most, takes room for a whole tile of every query head in each, and throws where that is more than it was given.
size_t FloatBytes(const KvLayout& kv, int heads, const DeviceTraits& traits) {
  const size_t tile_tokens = kv.head_dim < 256 ? 128 : 64;
  const size_t pieces = static_cast<size_t>(std::max(2 * traits.multiprocessors / kv.kv_heads, 1));
  const size_t bytes =
      static_cast<size_t>(heads) * pieces * tile_tokens * (static_cast<size_t>(kv.head_dim) + 1) * sizeof(float);
  return Aligned(bytes + 256);  // each of its two arrays is aligned
}

size_t ExpandedTableBytes(const PrefillLimits& limits) {
  return Aligned(sizeof(int32_t) * static_cast<size_t>(limits.expanded_blocks));
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

size_t PrefillAttention::DeviceBytes(const KvFormat& kv, int heads, const PrefillLimits& limits,
                                     const DeviceTraits& traits) {
  const size_t bytes = FloatBytes(kv.layout, heads, traits) + kIntBytes + Aligned(Arrays::Bytes(limits));
  if (kv.type != KvType::kInt8) return bytes;
  const size_t elements = 2 * static_cast<size_t>(limits.expanded_blocks) * kv.layout.block_elements();
  return bytes + ExpandedTableBytes(limits) + KvLayout::kElementBytes * elements;
}
size_t PrefillAttention::PinnedBytes(const PrefillLimits& limits) {
  return 2 * (kIntBytes + Aligned(Arrays::Bytes(limits)));
}

PrefillAttention::PrefillAttention(const KvFormat& kv, int heads, float scale, const PrefillLimits& limits,
                                   void* device_memory, void* pinned_memory)
    : kv_(kv),
      heads_(heads),
      scale_(scale),
      limits_(limits),
      float_bytes_(FloatBytes(kv.layout, heads, CurrentDeviceTraits())),
      device_(static_cast<uint8_t*>(device_memory)),
      pinned_(static_cast<uint8_t*>(pinned_memory)) {
  for (cudaEvent_t& event : copied_)
    CheckKernel(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "an event for plans of attention");
  if (kv.type != KvType::kInt8) return;
  std::vector<int32_t> table(static_cast<size_t>(limits.expanded_blocks));
  std::iota(table.begin(), table.end(), 0);
  CheckKernel(cudaMemcpy(expanded_table(), table.data(), sizeof(int32_t) * table.size(), cudaMemcpyHostToDevice),
              "the block table of attention");
}

PrefillAttention::~PrefillAttention() {
  for (cudaEvent_t event : copied_) cudaEventDestroy(event);
}

FlashInferWorkspace PrefillAttention::Workspace() const {
  return {device_, float_bytes_, device_ + float_bytes_,
          pinned_ + static_cast<size_t>(slot_) * (PinnedBytes(limits_) / 2), kIntBytes};
}

int32_t* PrefillAttention::expanded_table() const {
  return reinterpret_cast<int32_t*>(device_ + float_bytes_ + kIntBytes + Aligned(Arrays::Bytes(limits_)));
}

PrefillKernel PrefillAttention::Choose(int longest_query) const {
  if (longest_query >= kFa3Tokens && Has(PrefillKernel::kFa3)) return PrefillKernel::kFa3;
  return Has(PrefillKernel::kFa2) ? PrefillKernel::kFa2 : PrefillKernel::kPlain;
}

bool PrefillAttention::Has(PrefillKernel kernel) const {
  if (kernel == PrefillKernel::kFa3) return HasFa3(kv_.layout);
  return kernel == PrefillKernel::kPlain || HasFa2(kv_.layout);
}

std::vector<PrefillAttention::Part> PrefillAttention::PartsOf(const std::vector<PrefillSequence>& sequences) const {
  std::vector<Part> parts;
  int row = 0, blocks = 0;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const int used = BlocksOf(sequences[i]);
    if (parts.empty() || (expands() && blocks + used > limits_.expanded_blocks)) {
      parts.push_back({i, i, row});
      blocks = 0;
    }
    parts.back().end = i + 1;
    blocks += used;
    row += sequences[i].query_tokens;
  }
  return parts;
}

void PrefillAttention::Plan(const std::vector<PrefillSequence>& sequences, PrefillKernel kernel, cudaStream_t stream) {
  kernel_ = kernel;
  parts_ = PartsOf(sequences);
  if (parts_.size() == 1) return PlanPart(sequences.data(), sequences.size(), stream);
  sequences_ = sequences;
  block_tables_.clear();
  for (const PrefillSequence& sequence : sequences)
    block_tables_.insert(block_tables_.end(), sequence.block_table, sequence.block_table + BlocksOf(sequence));
  const int* table = block_tables_.data();
  for (PrefillSequence& sequence : sequences_) sequence.block_table = std::exchange(table, table + BlocksOf(sequence));
}

void PrefillAttention::Run(const PrefillLayer& layer, cudaStream_t stream) {
  if (parts_.size() == 1) return RunPlanned(layer, stream);
  for (const Part& part : parts_) {
    PlanPart(sequences_.data() + part.begin, part.end - part.begin, stream);
    const size_t row = static_cast<size_t>(part.first_row);
    PrefillLayer of_part = layer;
    of_part.queries = static_cast<uint8_t*>(layer.queries) + KvLayout::kElementBytes * row * layer.query_stride;
    of_part.out = static_cast<uint8_t*>(layer.out) + KvLayout::kElementBytes * row * (heads_ * kv_.layout.head_dim);
    RunPlanned(of_part, stream);
  }
}

void PrefillAttention::PlanPart(const PrefillSequence* sequences, size_t count, cudaStream_t stream) {
  slot_ = 1 - slot_;
  CheckKernel(cudaEventSynchronize(copied_[slot_]), "the plan before the last");
  const FlashInferWorkspace workspace = Workspace();
  Arrays host(static_cast<uint8_t*>(workspace.pinned) + kIntBytes, limits_);
  Arrays device(static_cast<uint8_t*>(workspace.ints) + kIntBytes, limits_);
  bool has_history = false;
  int rows = 0, blocks = 0, index = 0;
  host.query_ends[0] = host.block_ends[0] = 0;
  for (size_t i = 0; i < count; ++i) {
    const PrefillSequence& sequence = sequences[i];
    const int used = BlocksOf(sequence);
    const int history = sequence.context_tokens - sequence.query_tokens;
    has_history = has_history || history > 0;
    for (int token = 0; token < sequence.query_tokens; ++token, ++rows) {
      host.positions[rows] = history + token;
      host.row_sequences[rows] = index;
    }
    std::copy_n(sequence.block_table, used, host.blocks + blocks);
    blocks += used;
    host.contexts[index] = sequence.context_tokens;
    host.last_block_tokens[index] = sequence.context_tokens - (used - 1) * kv_.layout.tokens_per_block;
    ++index;
    host.query_ends[index] = rows;
    host.block_ends[index] = blocks;
  }
  const size_t bytes = static_cast<size_t>(reinterpret_cast<uint8_t*>(host.blocks + blocks) -
                                           reinterpret_cast<uint8_t*>(host.query_ends));
  CheckKernel(cudaMemcpyAsync(device.query_ends, host.query_ends, bytes, cudaMemcpyHostToDevice, stream),
              "the plan of attention");
  blocks_ = blocks;
  step_ = {
      host.query_ends, host.block_ends, host.contexts, rows,
      index,           heads_,          kv_.layout,    has_history ? SplitHistory::kWhereUseful : SplitHistory::kNever};
  if (kernel_ != PrefillKernel::kPlain)
    WithUnit(kernel_, kv_.layout, [&](auto unit) { plan_ = decltype(unit)::Plan(workspace, step_, stream); });
  CheckKernel(cudaEventRecord(copied_[slot_], stream), "the plan of attention");
}

void PrefillAttention::RunPlanned(const PrefillLayer& layer, cudaStream_t stream) {
  const FlashInferWorkspace workspace = Workspace();
  const Arrays device(static_cast<uint8_t*>(workspace.ints) + kIntBytes, limits_);
  if (kernel_ == PrefillKernel::kPlain || layer.window) {
    PlainAttention({kv_, step_.rows, heads_, 0, layer.query_stride, scale_, layer.window},
                   {layer.queries, layer.keys, layer.values, device.positions, device.row_sequences, device.blocks,
                    layer.out, device.block_ends},
                   stream);
    return;
  }
  FlashInferLayer given{
      layer.queries, layer.query_stride,       layer.keys, layer.values, device.query_ends, device.block_ends,
      device.blocks, device.last_block_tokens, layer.out,  scale_};
  if (expands()) {
    uint8_t* const expanded = reinterpret_cast<uint8_t*>(expanded_table()) + ExpandedTableBytes(limits_);
    given.keys = expanded;
    given.values =
        expanded + KvLayout::kElementBytes * static_cast<size_t>(limits_.expanded_blocks) * kv_.layout.block_elements();
    given.blocks = expanded_table();
    ExpandKv(kv_.layout, {device.blocks, blocks_, layer.keys, layer.values, given.keys, given.values}, stream);
  }
  WithUnit(kernel_, kv_.layout, [&](auto unit) { decltype(unit)::Run(workspace, plan_, step_, given, stream); });
}

}  // namespace embedded::cuda
