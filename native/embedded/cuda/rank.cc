#include "native/embedded/cuda/rank.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>

#include "native/embedded/checkpoint/rank_model.h"
#include "native/embedded/cuda/kv_copy.h"
#include "native/embedded/cuda/matmul_choices.h"

namespace embedded::cuda {
namespace {

constexpr size_t kMaxCopies = 1024;  // of KV blocks, in one launch

}  // namespace

Rank::Rank(const RunnerOptions& options, int rank, const Device& device, const MemoryPlan& memory, RankEnd* end,
           const std::function<bool(double)>& on_progress)
    : device_(device),
      model_(RankModel(options.model, rank)),
      memory_(memory),
      end_(end),
      stream_(MakeStream()),
      matmul_(device, DefaultMatmulChoicesDir()),
      linear_(&matmul_, memory.limits.batch_invariant ? Sums::kBatchInvariant : Sums::kFastest),
      weights_(LoadWeights(options.weights_file(static_cast<size_t>(rank)), model_, memory_.element, memory_.kv.type,
                           on_progress, stream_.get())),
      cache_(memory_.kv.bytes(), "the KV cache"),
      llama_(model_, weights_, memory_.kv, cache_.data(), &linear_, memory_.limits, end),
      computed_(MakeEvent()),
      arrays_(StepArrays(nullptr, memory_.limits.max_tokens, memory_.limits.max_sequences).bytes, "a step's input"),
      block_table_(sizeof(int32_t) * static_cast<size_t>(memory_.limits.max_sequences) *
                       static_cast<size_t>(memory_.limits.max_blocks),
                   "block tables"),
      copies_(sizeof(KvBlockCopy) * kMaxCopies, "copies of KV blocks"),
      prompt_rows_(sizeof(int32_t) * static_cast<size_t>(memory_.limits.max_sequences), "logits of prompts") {
  if (model_.parallel_embedding && model_.is_first_stage) end_->ShareEmbedding(weights_.embedding);
  if (options.limits.adapters) adapters_.emplace(options.model, rank, memory_.element);
  // Attention gives what lies past a sequence's end the weight 0, but 0 * NaN is NaN.
  Check(cudaMemset(cache_.data(), 0, cache_.bytes()), "clearing the KV cache");
  Check(cudaMemset(block_table_.data(), 0, block_table_.bytes()), "clearing block tables");
  if (memory_.host_blocks > 0) host_cache_ = PinnedBuffer(memory_.host_bytes(), "kvCache.hostBytes");
}

void Rank::Tune(const DrawBuffers& draw) {
  constexpr auto kMostTime = std::chrono::milliseconds(1500);
  const auto deadline = std::chrono::steady_clock::now() + kMostTime;
  // All positions below 0: nothing is stored in the cache.
  Check(cudaMemset(arrays_.data(), 0xFF, arrays_.bytes()), "clearing a step's input");
  Check(cudaDeviceSynchronize(), "clearing a step's input");
  const StepArrays arrays(arrays_.data(), memory_.limits.max_sequences, memory_.limits.max_sequences);
  std::vector<int> sizes = DecodeBuckets(memory_.limits.max_sequences);
  std::reverse(sizes.begin(), sizes.end());  // what is chosen without measuring is the worst for the largest
  float* const logits = end_ == nullptr ? draw.logits : end_->part_logits();
  llama_.Tune({arrays, block_table_.as<int32_t>(), draw.newest, 0, 0}, sizes, logits, deadline, &linear_,
              stream_.get());
  if (is_first()) matmul_.choices().Save();  // of one file
  Check(cudaDeviceSynchronize(), "loading the model");
}

void Rank::CopyBlocks(const std::vector<BlockCopy>& copies, const KvBlockCopy* pinned) {
  const KvBlocks on_device{cache_.data(), memory_.kv.layout.blocks}, on_host{host_cache_.data(), memory_.host_blocks};
  for (size_t first = 0; first < copies.size();) {
    const CopyWay way = copies[first].way;
    size_t end = first + 1;  // a copy that meets one before it waits for it
    const auto meets = [&](const BlockCopy& other) {
      return other.to == copies[end].from || other.to == copies[end].to || other.from == copies[end].to;
    };
    while (end < copies.size() && end - first < kMaxCopies && copies[end].way == way &&
           std::none_of(copies.begin() + static_cast<std::ptrdiff_t>(first),
                        copies.begin() + static_cast<std::ptrdiff_t>(end), meets))
      ++end;
    // The launch before this one has read what it copies from the same place: the copy waits for it.
    Check(cudaMemcpyAsync(copies_.data(), pinned + first, sizeof(KvBlockCopy) * (end - first), cudaMemcpyHostToDevice,
                          stream_.get()),
          "submitting copies of KV blocks");
    CopyKvBlocks(memory_.kv,
                 {copies_.as<KvBlockCopy>(), static_cast<int>(end - first),
                  way == CopyWay::kFromHost ? on_host : on_device, way == CopyWay::kToHost ? on_host : on_device},
                 stream_.get());
    first = end;
  }
}

StepArrays Rank::Arrays(const StepPlan& plan) const {
  return {arrays_.data(), plan.decode_only() ? memory_.limits.max_sequences : plan.tokens,
          memory_.limits.max_sequences};
}

void Rank::Upload(const StepPlan& plan, int longest_table, const StepBuffers& buffers) {
  constexpr char kUploading[] = "copying a step's input to the GPU";
  const StepArrays from = buffers.Arrays(plan.decode_only() ? memory_.limits.max_sequences : plan.tokens);
  Check(cudaMemcpyAsync(arrays_.data(), from.tokens, from.bytes, cudaMemcpyHostToDevice, stream_.get()), kUploading);
  const size_t pitch = sizeof(int32_t) * static_cast<size_t>(memory_.limits.max_blocks);
  Check(cudaMemcpy2DAsync(block_table_.data(), pitch, buffers.block_table(), pitch,
                          sizeof(int32_t) * static_cast<size_t>(longest_table), static_cast<size_t>(plan.table_rows),
                          cudaMemcpyHostToDevice, stream_.get()),
        kUploading);
}

void Rank::Receive(const Rank& before, const StepPlan& plan) {
  constexpr char kReceiving[] = "receiving hidden states";
  // The graphs of the stage before it wait for each other: all are launched before one of this stage may be made.
  if (end_ != nullptr) end_->Meet();
  Check(cudaEventRecord(before.computed_.get(), before.stream_.get()), kReceiving);
  Check(cudaStreamWaitEvent(stream_.get(), before.computed_.get(), 0), kReceiving);
  const size_t bytes = sizeof(float) * static_cast<size_t>(plan.tokens) * static_cast<size_t>(model_.hidden_size);
  Check(
      cudaMemcpyPeerAsync(llama_.hidden(), device_.id, before.llama_.hidden(), before.device_.id, bytes, stream_.get()),
      kReceiving);
}

void Rank::Compute(const Step& step, const StepPlan& plan, const DrawBuffers& draw, StepGaps* gaps) {
  const StepArrays arrays = Arrays(plan);
  LlamaStep on_device{arrays, block_table_.as<int32_t>(), draw.newest, plan.tokens, plan.decode_rows};
  if (plan.has_adapters) on_device.lora = {adapters_->table(), arrays.adapter_slots};
  if (!plan.decode_only()) {
    llama_.PlanPrefill(PrefillSequencesOf(step, plan), stream_.get());
    return llama_.Forward(on_device, stream_.get());
  }
  const auto launch = [&](cudaStream_t stream) {
    if (gaps != nullptr && is_first() && model_.is_last_stage) gaps->RecordStart(stream);
    llama_.Forward(on_device, stream);
    Logits(arrays.logits_rows, plan.logits_rows, draw, stream);
  };
  // Kernels of a graph wait for those of other ranks, and making a graph may wait for kernels.
  std::function<void()> on_recorded;
  if (end_ != nullptr) on_recorded = [this] { end_->Meet(); };
  const int variant = (gaps != nullptr ? gaps->graph() : 0) + (plan.has_adapters ? 2 : 0);
  graphs_.Run(plan.decode_rows, variant, stream_.get(), launch, on_recorded);
}

void Rank::StepLogits(const StepPlan& plan, const DrawBuffers& draw) {
  Logits(Arrays(plan).logits_rows, plan.logits_rows, draw, stream_.get());
}

void Rank::LogitsOf(const std::vector<int32_t>& tokens, const DrawBuffers& draw) {
  Check(cudaMemcpyAsync(prompt_rows_.data(), tokens.data(), sizeof(int32_t) * tokens.size(), cudaMemcpyHostToDevice,
                        stream_.get()),
        "submitting a prompt's logits");
  Logits(prompt_rows_.as<int32_t>(), static_cast<int>(tokens.size()), draw, stream_.get());
}

void Rank::Logits(const int32_t* rows, int count, const DrawBuffers& draw, cudaStream_t stream) {
  if (!model_.is_last_stage) return;
  if (end_ == nullptr) return llama_.Logits(rows, count, draw.logits, stream);
  end_->BeginLogits(stream);
  llama_.Logits(rows, count, end_->part_logits(), stream);
  end_->GatherLogits(count, draw.logits, stream);
}

}  // namespace embedded::cuda
