// Causal attention of chunks of prompts over the paged cache: several sequences, any number of new tokens each.
//   out[r, h] = sum over t <= position of row r of softmax_t(scale * dot(q[r, h], k[t, g])) * v[t, g],
//   g = h / (heads / kv_heads); the new tokens' keys and values are in the cache already (RopeAppend)
// Planned on the host once a step, then run once for each layer. Not for CUDA graphs; decode rows have their own kernel
// (decode_attention.h): one plan for both is a third slower than two launches.
//
// Measured on an H100 and an H200: FA3 where a chunk has 512 tokens or more, else FA2 (64 chunks of 128 tokens: 82 us
// against FA3's 95), its split of the history only where there is one. What
// FlashInfer has no kernel for goes to PlainAttention: other head_dims, devices before sm_80 in bf16. So do layers with a
// sliding window.
//
// FlashInfer reads no 8 bits: of a cache that has them a layer's blocks are expanded first, for as many sequences at once as there is
// room for. The new tokens are read from the cache too, so that it does not matter in which chunks a prompt came.
#ifndef EMBEDDED_CUDA_PREFILL_ATTENTION_H_
#define EMBEDDED_CUDA_PREFILL_ATTENTION_H_

#include <cuda_runtime.h>

#include <optional>
#include <vector>

#include "native/embedded/cuda/flashinfer/flashinfer.h"
#include "native/embedded/cuda/kv_format.h"
#include "native/embedded/cuda/launch.h"

namespace embedded::cuda {

// A sequence's part of the step.
struct PrefillSequence {
  int query_tokens;        // new ones, at least 1
  int context_tokens;      // in the cache after this step: the new ones are the last
  const int* block_table;  // host memory, read during Plan alone
};

enum class PrefillKernel { kFa2, kFa3, kPlain };

struct PrefillLimits {
  int max_sequences;
  int max_rows;             // new tokens in a step
  int max_blocks;           // entries of a step's block tables together
  int expanded_blocks = 0;  // in 8 bits: how many are expanded at once, at least those of any sequence
};

struct PrefillLayer {
  void* queries;     // [rows, heads, head_dim] element, rows query_stride apart, sequences one after the other
  int query_stride;  // elements
  void* keys;        // of the layer, as KvFormat lays them out
  void* values;
  void* out;                                 // [rows, heads, head_dim] element
  std::optional<int> window = std::nullopt;  // tokens that a row sees, its own included
};

class PrefillAttention {
 public:
  // The memory the object works in, on a device like this: the caller's, who keeps it as long as the object. Pinned host
  // memory for two plans, so that one can be made while the copy of the last is still under way.
  static size_t DeviceBytes(const KvFormat& kv, int heads, const PrefillLimits& limits, const DeviceTraits& traits);
  static size_t PinnedBytes(const PrefillLimits& limits);

  PrefillAttention(const KvFormat& kv, int heads, float scale, const PrefillLimits& limits, void* device_memory,
                   void* pinned_memory);
  ~PrefillAttention();
  PrefillAttention(const PrefillAttention&) = delete;
  PrefillAttention& operator=(const PrefillAttention&) = delete;

  // The kernel that suits a step whose longest chunk has so many tokens, on the current device.
  PrefillKernel Choose(int longest_query) const;
  // Whether the library was built with it, and it computes this cache on the current device.
  bool Has(PrefillKernel kernel) const;

  // Everything on one stream. Blocks only if the copies of the plan before the last have not ended.
  void Plan(const std::vector<PrefillSequence>& sequences, PrefillKernel kernel, cudaStream_t stream);
  void Run(const PrefillLayer& layer, cudaStream_t stream);

 private:
  // Arrays of one step, at the same offsets in pinned and device memory.
  struct Arrays {
    int32_t *query_ends, *block_ends, *contexts, *last_block_tokens, *positions, *row_sequences, *blocks;
    Arrays(void* memory, const PrefillLimits& limits);
    static size_t Bytes(const PrefillLimits& limits);
  };
  // Sequences that are planned together.
  struct Part {
    size_t begin, end;
    int first_row;
  };
  std::vector<Part> PartsOf(const std::vector<PrefillSequence>& sequences) const;
  void PlanPart(const PrefillSequence* sequences, size_t count, cudaStream_t stream);
  void RunPlanned(const PrefillLayer& layer, cudaStream_t stream);
  FlashInferWorkspace Workspace() const;
  bool expands() const { return kv_.type == KvType::kInt8 && kernel_ != PrefillKernel::kPlain; }
  int32_t* expanded_table() const;  // [expanded_blocks]: they are written one after the other
  int BlocksOf(const PrefillSequence& sequence) const {
    return (sequence.context_tokens + kv_.layout.tokens_per_block - 1) / kv_.layout.tokens_per_block;
  }

  KvFormat kv_;
  int heads_;
  float scale_;
  PrefillLimits limits_;
  size_t float_bytes_;
  uint8_t* device_;  // floats, then the plan with its arrays, then what is expanded, whose block table comes first
  uint8_t* pinned_;
  cudaEvent_t copied_[2] = {};  // by slot of pinned memory
  int slot_ = 0;
  PrefillKernel kernel_ = PrefillKernel::kPlain;
  FlashInferStep step_{};
  int blocks_ = 0;  // of the plan
  FlashInferPlan plan_;
  std::vector<Part> parts_;  // of the step
  // Where it has several, they are planned in each layer anew.
  std::vector<PrefillSequence> sequences_;
  std::vector<int> block_tables_;
};

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_PREFILL_ATTENTION_H_
