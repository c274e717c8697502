#include "native/embedded/cuda/memory_plan.h"

#include <algorithm>
#include <limits>
#include <string>

#include "native/embedded/checkpoint/rank_model.h"
#include "native/embedded/cuda/step_pooling.h"
#include "native/embedded/cuda/step_sampler.h"
#include "native/embedded/cuda/weights.h"
#include "native/executor/cpp/failure.h"

namespace embedded::cuda {
namespace {

using executor::Failure;

constexpr int kTokensPerBlock = 64;
constexpr int kDepthMultiple = 8;  // of what the linear layers sum over
constexpr int kLargestHeadDim = 256;
constexpr int kLargestStep = 65472;  // tokens: a grid's second dimension ends at 65,535, and steps are padded to 64
// The workspace of cuBLASLt, the context, modules and graphs.
constexpr uint64_t kReservedBytes = uint64_t{256} << 20;

void CheckShape(const ModelConfig& model) {
  const auto check_depth = [](const char* field, int depth) {
    if (depth % kDepthMultiple != 0)
      throw Failure(EXECUTOR_MODEL_UNSUPPORTED,
                    std::string("The model's ") + field + " is " + std::to_string(depth) +
                        "; expected a multiple of 8, because the CUDA executor needs it. Use executor: 'cpu'.");
  };
  check_depth("hidden_size", model.hidden_size);
  check_depth("num_attention_heads * head_size", model.heads * model.head_dim);
  if (model.quantization.algo != QuantAlgo::kNone) check_depth("intermediate_size", model.intermediate_size);
  if (model.head_dim > kLargestHeadDim)
    throw Failure(EXECUTOR_MODEL_UNSUPPORTED,
                  "The model's head_size is " + std::to_string(model.head_dim) +
                      "; expected at most 256, the most that the CUDA executor supports. Use executor: 'cpu'.");
}

// What the CPU executor computes and this one does not yet. lib/engine/directory/checkpoint-config.ts says the same of a directory.
void CheckGraph(const ModelConfig& model, int max_seq_len) {
  const RopeScaling& scaling = model.rope_scaling;
  if (scaling.type == RopeScalingType::kDynamic && max_seq_len > scaling.original_max_positions)
    throw Failure(EXECUTOR_MODEL_UNSUPPORTED,
                  "The model has dynamic frequencies (rotary_scaling); expected fixed ones, because the CUDA executor "
                  "has one table of angles for all sequences. Use executor: 'cpu', or a maxSeqLen of at most " +
                      std::to_string(static_cast<int>(scaling.original_max_positions)) + ".");
}

// Their products read an input that factors have been folded into the norm before it.
void CheckAdapters(const ModelConfig& model, const Limits& limits) {
  if (limits.adapters && model.quantization.pre_quant_scale)
    throw executor::OptionFailure(
        EXECUTOR_UNSUPPORTED, "peft_cache",
        " is set; expected it unset for a model quantized with AWQ, because the CUDA executor "
        "does not run adapters over it. Remove it, convert the model with another "
        "quantization, or use executor: 'cpu'.");
}

std::string Mebibytes(uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

// A rank's part of a model, planned but for its KV cache's size and what goes by that.
struct RankPart {
  const ModelConfig& whole;
  ModelConfig model;
  const Limits& limits;
  MemoryPlan plan{};
};

RankPart PlanRankPart(const RunnerOptions& options, int rank, const Device& device) {
  const ModelConfig model = RankModel(options.model, rank);
  const Limits& limits = options.limits;
  CheckShape(model);
  CheckGraph(model, limits.max_seq_len);
  CheckAdapters(model, limits);
  if (limits.max_num_tokens > kLargestStep)
    throw executor::OptionFailure(
        EXECUTOR_INVALID_OPTION, "max_num_tokens",
        " is " + std::to_string(limits.max_num_tokens) + "; expected at most " + std::to_string(kLargestStep) + ".");
  RankPart part{options.model, model, limits};
  MemoryPlan& plan = part.plan;
  plan.element = ElementOf(model, device);
  const WeightSizes weights = PlanWeights(options.weights_file(static_cast<size_t>(rank)), model);
  plan.weight_bytes = weights.bytes;
  plan.kv = {{plan.element, model.layers, 1, model.kv_heads, kTokensPerBlock, model.head_dim},
             limits.kv_dtype == KV_DTYPE_INT8 ? KvType::kInt8 : KvType::kElements};
  const int sequence_blocks = (limits.max_seq_len + kTokensPerBlock - 1) / kTokensPerBlock;
  // A step takes no more of a sequence than there is.
  const int step_tokens =
      static_cast<int>(std::min<int64_t>(limits.max_num_tokens, int64_t{limits.max_batch_size} * limits.max_seq_len));
  plan.limits = {PaddedTokens(std::max(step_tokens, limits.max_draws)),
                 limits.max_draws,
                 limits.max_seq_len,
                 sequence_blocks,
                 weights.expanded_bytes,
                 limits.adapters ? limits.adapters->max_rank : 0,
                 limits.batch_invariant};
  return part;
}

// The most blocks that so much memory holds.
int MostBlocks(const KvFormat& kv, uint64_t bytes) {
  return static_cast<int>(std::min<uint64_t>(bytes / kv.bytes_per_block() + 1, std::numeric_limits<int>::max()));
}

// With so many KV blocks, what it works in.
uint64_t WorkBytes(const RankPart& part, int blocks, const DeviceTraits& traits) {
  const LlamaLimits& limits = part.plan.limits;
  const int draws = part.limits.max_draws;
  const size_t sequence_blocks = static_cast<size_t>((limits.max_positions + kTokensPerBlock - 1) / kTokensPerBlock);
  const size_t table_bytes = sizeof(int32_t) * static_cast<size_t>(draws) * sequence_blocks;
  const size_t exchange_bytes = part.model.tp_size > 1 ? ExchangeSizesOf(part.whole, limits).device_bytes() : size_t{0};
  KvFormat kv = part.plan.kv;
  kv.layout.blocks = blocks;
  return Llama::DeviceBytes(part.model, kv, limits, traits) + StepSampler::DeviceBytes(draws, part.model.vocab_size) +
         kStepsInFlight * StepPooling::DeviceBytes(draws, part.model.hidden_size) +
         StepArrays(nullptr, limits.max_tokens, draws).bytes + table_bytes + exchange_bytes + kReservedBytes;
}

}  // namespace

int HostBlocksOf(const Limits& limits, uint64_t block_bytes) {
  return static_cast<int>(std::min<uint64_t>(limits.kv_host_bytes / block_bytes, std::numeric_limits<int>::max()));
}

ExchangeSizes ExchangeSizesOf(const ModelConfig& model, const LlamaLimits& limits) {
  return {static_cast<size_t>(limits.max_tokens) * static_cast<size_t>(model.hidden_size), limits.max_sequences,
          RankModel(model, 0).head_rows, model.vocab_size, model.parallel_embedding};
}

MemoryPlan PlanMemory(const RunnerOptions& options, int rank, const Device& device, const DeviceTraits& traits,
                      uint64_t free_bytes) {
  const Limits& limits = options.limits;
  RankPart part = PlanRankPart(options, rank, device);
  MemoryPlan& plan = part.plan;
  uint64_t block_bytes = plan.kv.bytes_per_block();  // of all runners
  uint64_t weight_bytes = plan.weight_bytes;
  uint64_t work_bytes = WorkBytes(part, MostBlocks(plan.kv, free_bytes), traits);
  if (options.beside != nullptr) {
    const RankPart beside = PlanRankPart(*options.beside, rank, device);
    weight_bytes += beside.plan.weight_bytes;
    work_bytes += WorkBytes(beside, MostBlocks(beside.plan.kv, free_bytes), traits);
    block_bytes += beside.plan.kv.bytes_per_block();
  }
  const uint64_t needed = weight_bytes + work_bytes;
  if (needed + block_bytes > free_bytes)
    throw Failure(EXECUTOR_OUT_OF_MEMORY,
                  device.name + " has " + Mebibytes(free_bytes) + " free; expected " + Mebibytes(weight_bytes) +
                      " for the weights, " + Mebibytes(work_bytes) + " to work in and at least " +
                      Mebibytes(block_bytes + (1 << 20) - 1) +
                      " for the KV cache. Stop what else uses the GPU, use another one (parallel.deviceIds), lower "
                      "maxNumTokens, maxBatchSize or maxSeqLen, or use executor: 'cpu'.");
  if (limits.adapters)
    plan.adapter_bytes = static_cast<uint64_t>(limits.adapters->device_fraction *
                                               static_cast<double>(free_bytes - needed - block_bytes));
  const uint64_t left = free_bytes - needed - plan.adapter_bytes;
  plan.kv.layout.blocks =
      ResolveKvBlocks(options.config, limits, {block_bytes, kTokensPerBlock, left, kKvMemoryFraction});
  const uint64_t kv_bytes = block_bytes * static_cast<uint64_t>(plan.kv.layout.blocks);
  if (kv_bytes > left)  // kvCache.maxTokens and kvCache.maxBytes are not limited by the free memory
    throw executor::OptionFailure(EXECUTOR_OUT_OF_MEMORY, "kv_cache",
                                  " needs " + Mebibytes(kv_bytes) + " for " + std::to_string(plan.kv.layout.blocks) +
                                      " blocks of 64 tokens; expected at most " + Mebibytes(left) + ", which " +
                                      device.name +
                                      " has left. Lower kvCache.maxTokens or kvCache.maxBytes, or stop what else uses "
                                      "the GPU.");
  plan.limits.max_blocks = std::min(plan.limits.max_blocks, plan.kv.layout.blocks);
  plan.work_bytes = WorkBytes(part, plan.kv.layout.blocks, traits) + plan.adapter_bytes;
  return plan;
}

}  // namespace embedded::cuda
