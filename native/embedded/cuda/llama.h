// The Llama graph (arXiv:2302.13971) on the GPU: one pass over the tokens of a step.
//
// The residual stream is in fp32, everything that matrices read in the model's element. With one token the norm is part
// of the matrix product that follows it.
#ifndef EMBEDDED_CUDA_LLAMA_H_
#define EMBEDDED_CUDA_LLAMA_H_

#include <cuda_runtime_api.h>

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "native/embedded/adapter.h"
#include "native/embedded/checkpoint/config.h"
#include "native/embedded/cuda/kv_format.h"
#include "native/embedded/cuda/linear_layers.h"
#include "native/embedded/cuda/lora.h"
#include "native/embedded/cuda/prefill_attention.h"
#include "native/embedded/cuda/rank_exchange.h"
#include "native/embedded/cuda/resources.h"
#include "native/embedded/cuda/step_arrays.h"
#include "native/embedded/cuda/sum_rows.h"
#include "native/embedded/cuda/weights.h"

namespace embedded::cuda {

struct LlamaLimits {
  int max_tokens;             // in a step, padding included
  int max_sequences;          // likewise
  int max_positions;          // of a sequence
  int max_blocks;             // of a sequence: entries in a row of the block table
  size_t expanded_bytes = 0;  // WeightSizes
  int max_lora_rank = 0;      // 0: no adapters
  bool batch_invariant = false;
};

// Where a step's input lies in device memory, and how many rows it has.
struct LlamaStep {
  StepArrays arrays;
  const int32_t* block_table;  // [sequences, max_blocks]
  const int32_t* newest;       // [slots] the newest tokens drawn
  int tokens;
  int decode_rows;  // the first of them, of one sequence each
  LoraRows lora = {};

  bool has_adapters() const { return lora.adapters != nullptr; }
};

// One step at a time, all on one stream. Borrows weights, cache, `linear` and `end`. Of several ranks each computes its own part of
// the layers, and all have the same hidden states.
class Llama {
 public:
  // Everything it takes of a GPU like this, for a cache of so many blocks.
  static size_t DeviceBytes(const ModelConfig& model, const KvFormat& kv, const LlamaLimits& limits,
                            const DeviceTraits& traits);

  // `model` is what the rank sees of it (rank_model.h); a null `end`: it is the only one.
  Llama(const ModelConfig& model, const LlamaWeights& weights, const KvFormat& kv, void* cache,
        const LinearLayers* linear, const LlamaLimits& limits, RankEnd* end = nullptr);

  // Has `linear`, the one it borrows, measure what decode steps of these sizes launch, until `deadline`; what its file of
  // choices knows takes no time. The positions of `step` are all below 0, and `logits` has room for its rows. Ends with
  // work on the default stream.
  void Tune(LlamaStep step, const std::vector<int>& sizes, float* logits,
            std::chrono::steady_clock::time_point deadline, LinearLayers* linear, cudaStream_t stream);

  // [tokens, hidden_size], in and out of Forward; a first stage has them from its embedding.
  float* hidden() const { return hidden_.as<float>(); }

  // Before Forward, where a step has rows behind the decode rows.
  void PlanPrefill(const std::vector<PrefillSequence>& sequences, cudaStream_t stream);

  // Computes the step's tokens and writes their keys and values. Can be recorded where all are decode rows, once a step
  // of the same size has run.
  void Forward(const LlamaStep& step, cudaStream_t stream);

  // Logits of some tokens of the last Forward: out [count, head_rows]. `rows` [count] is in device memory; a row below
  // 0 is padding, whose logits mean nothing.
  void Logits(const int32_t* rows, int count, float* out, cudaStream_t stream);

  // Sums of hidden states of the last Forward, of so many tokens, after the last norm: out [count, hidden_size]. `spans` [count] are
  // in device memory.
  void SumFinal(int tokens, const RowSpan* spans, int count, float* out, cudaStream_t stream);

 private:
  EmbeddingTable Embedding() const;
  // The linear layers of a step. Those over the norm of the hidden states get their input from RunNormalized.
  LinearCall Qkv(const LlamaStep& step, int layer) const;
  LinearCall Dense(const LlamaStep& step, int layer) const;
  LinearCall FcGate(const LlamaStep& step, int layer) const;
  LinearCall Proj(const LlamaStep& step, int layer) const;
  LinearCall Head(int count, float* out) const;
  NormalizedInput Normalized(const void* norm_weight) const;
  // Where what is added to the hidden states goes first, and how it gets there.
  LinearOutput Added(HiddenPart which) const;
  void FinishAdded(HiddenPart which, const void* bias, int tokens, cudaStream_t stream);
  RopeAppendOutput Heads(const LlamaStep& step, int layer) const;
  LinearCall Over(const MatrixWeights& matrix, int outputs, int depth, int tokens) const;
  LinearScratch scratch() const { return {scratch_.data(), expanded_.data()}; }
  // Clears what padding is computed from.
  void ClearStates();
  void Attend(const LlamaStep& step, int layer, cudaStream_t stream);
  // Each of these rows of the step by its position alone. Without `table_rows` row i has row i of the block table.
  void AttendAlike(const LlamaStep& step, int first, int rows, const int32_t* table_rows, int layer,
                   cudaStream_t stream);
  std::optional<int> WindowOf(int layer) const;
  // Runs `call` over the norm of the hidden states, which are then in normed_ where the step has adapters.
  void RunNormalized(const LlamaStep& step, LinearCall call, const void* norm_weight, cudaStream_t stream);
  // What fuses its epilogue into the product without adapters, and adds theirs first with them.
  bool FinishesHeadsApart(const LlamaStep& step, int layer) const;
  bool FinishesGateApart(const LlamaStep& step) const { return model_.mlp_bias || LeavesRoomForAdapters(step); }
  // A row must not change with the adapters of others: where it may not, one without them is computed as if it had one.
  bool LeavesRoomForAdapters(const LlamaStep& step) const {
    return step.has_adapters() || (limits_.batch_invariant && limits_.max_lora_rank > 0);
  }
  // Adds the adapters' part to the products of a layer's modules from `first` on.
  struct LoraOutput {
    std::vector<int> outputs;  // by module
    std::vector<int> first_output;
    int stride;
    void* y;
    LoraCall::Y has;
  };
  void AddAdapters(const LlamaStep& step, int layer, LoraModule first, const DeviceBuffer& x, int x_stride,
                   const LoraOutput& to, cudaStream_t stream) const;
  LoraOutput AddedTo(HiddenPart which) const;
  // Multiplies rows of the matrix's input by its factors, if it has any.
  void MultiplyByFactors(const MatrixWeights& matrix, const DeviceBuffer& input, int depth, int tokens,
                         cudaStream_t stream) const;

  ModelConfig model_;
  const LlamaWeights& weights_;
  KvFormat kv_;
  void* cache_;
  const LinearLayers& linear_;
  LlamaLimits limits_;
  RankEnd* end_;
  float scale_;
  bool has_decode_attention_;

  DeviceBuffer angles_;            // [max_positions, head_dim / 2] float2
  DeviceBuffer hidden_;            // [max_tokens, hidden_size] float
  DeviceBuffer normed_;            // [max_tokens, hidden_size]
  DeviceBuffer queries_;           // [max_tokens, heads, head_dim]
  DeviceBuffer attended_;          // [max_tokens, heads, head_dim]
  DeviceBuffer ffn_;               // [max_tokens, PaddedIntermediate]
  DeviceBuffer scratch_;           // [max_tokens, the larger of qkv_size and 2 * PaddedIntermediate]
  DeviceBuffer expanded_;          // a matrix, where the weights are packed
  DeviceBuffer shrunk_;            // [max_tokens, kMostLoraModules, max_lora_rank] float, where there are adapters
  DeviceBuffer decode_workspace_;  // of DecodeAttention or InvariantAttention
  DeviceBuffer prefill_memory_;
  PinnedBuffer prefill_pinned_;
  std::unique_ptr<PrefillAttention> prefill_;  // null: batch invariant
};

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_LLAMA_H_
