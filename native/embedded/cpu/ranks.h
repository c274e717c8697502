// The ranks of an engine, all in this process: each with its part of the weights and of the KV cache.
#ifndef EMBEDDED_CPU_RANKS_H_
#define EMBEDDED_CPU_RANKS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "native/embedded/cpu/kernels.h"
#include "native/embedded/cpu/kv_memory.h"
#include "native/embedded/cpu/llama.h"
#include "native/embedded/cpu/paged_memory.h"
#include "native/embedded/cpu/rank_team.h"
#include "native/embedded/cpu/thread_pool.h"
#include "native/embedded/cpu/weights.h"
#include "native/embedded/model_runner.h"

namespace embedded::cpu {

// The tensor parallel ranks of a stage compute side by side, each with its share of the threads; the stages one after the
// other.
class Ranks {
 public:
  // Loads the weights. Throws executor::Failure.
  Ranks(const RunnerOptions& options, const Kernels& kernels, int threads);

  uint64_t weight_bytes() const { return weight_bytes_; }
  uint64_t bytes_per_block() const;  // of the KV cache, over all ranks
  // Threads of one rank, for what is done once for all.
  ThreadPool* pool() { return pools_.front().get(); }

  // Takes the memory for these many blocks and for steps of up to max_num_tokens. Throws std::bad_alloc.
  void Allocate(int kv_blocks);
  void CopyBlocks(const std::vector<BlockCopy>& copies);
  // What each rank needs of an adapter, for TokenSpan. Throws std::bad_alloc.
  std::vector<RankAdapter> Prepare(const Adapter& adapter) const;
  // As Llama has them.
  bool Forward(const std::vector<TokenSpan>& spans, const std::atomic<bool>& abandon);
  void Logits(const std::vector<int>& rows, float* out);
  void SumFinal(int first_row, int count, float* out) { at(pp_size_ - 1, 0).llama->SumFinal(first_row, count, out); }
  // vocab_size rounded up to whole panels.
  int logits_stride() const { return logits_stride_; }

 private:
  struct Rank {
    ModelConfig model;
    LlamaWeights weights;
    std::unique_ptr<KvMemory> kv_memory;
    std::unique_ptr<Llama> llama;
  };
  Rank& at(int stage, int tp_rank) { return *ranks_[static_cast<size_t>(stage * tp_size_ + tp_rank)]; }

  const ModelConfig model_;  // the whole
  const int tp_size_;
  const int pp_size_;
  const int vocab_size_;
  const int max_lora_rank_;  // 0: no adapters
  const int max_step_tokens_;
  const int max_logits_rows_;
  const ExecutorKvDtype kv_dtype_;
  const Kernels& kernels_;
  RankTeam team_;
  std::vector<std::unique_ptr<ThreadPool>> pools_;  // by tensor parallel rank
  std::vector<std::unique_ptr<Rank>> ranks_;        // by stage, and in it by tensor parallel rank
  uint64_t weight_bytes_ = 0;
  int logits_stride_;
  // Where there are several tensor parallel ranks, each has logits of its part of the vocabulary:
  std::vector<PagedMemory> part_logits_;  // by rank: [max_logits_rows, its own stride]
  PagedMemory all_logits_;                // [tp_size] of them
};

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_RANKS_H_
