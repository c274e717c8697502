// What the ranks of an engine exchange (all_reduce.h), with the memory for it and the order of their streams.
//
// In a CUDA graph the kernels wait for each other by flags. Outside of one the host orders the streams by events, and the threads of
// the ranks meet for that: then a kernel may be loaded, which can take a GPU's whole attention, while another rank waits.
#ifndef EMBEDDED_CUDA_RANK_EXCHANGE_H_
#define EMBEDDED_CUDA_RANK_EXCHANGE_H_

#include <cuda_runtime_api.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "native/embedded/checkpoint/config.h"
#include "native/embedded/cuda/all_reduce.h"
#include "native/embedded/cuda/device.h"
#include "native/embedded/cuda/embedding.h"
#include "native/embedded/cuda/rank_threads.h"
#include "native/embedded/cuda/resources.h"

namespace embedded::cuda {

// Where ranks read what others give them: on the others' GPUs, or in the host's memory, which works without peer access too.
enum class ExchangeMemory { kPeers, kHost };

// Two parts of the hidden states are exchanged in turn: what one rank still reads, another does not overwrite.
enum class HiddenPart { kAttention, kFeedForward };

struct ExchangeSizes {
  size_t hidden_floats;  // of a step's hidden states
  int max_logits_rows;
  int part_width;  // of a rank's part of the vocabulary
  int vocab_size;
  bool splits_embedding = false;

  // Of a rank's GPU.
  size_t device_bytes() const {
    return sizeof(float) *
               (2 * hidden_floats + static_cast<size_t>(max_logits_rows) * static_cast<size_t>(part_width)) +
           sizeof(ExchangeFlags);
  }
};

struct ExchangeOptions {
  // A rank that does not come in this time is lost.
  std::chrono::nanoseconds patience = std::chrono::seconds(10);
  // From so many on, hidden states are added in two shots. Unset: where that is faster.
  std::optional<size_t> two_shot_floats;
  // Unset: the host's where a GPU cannot read another's, or NODE_TENSORRT_LLM_CUDA_PEER_ACCESS is 0.
  std::optional<ExchangeMemory> memory;
};

// Of one rank. All ranks make the same calls in the same order, each on its own thread of RankThreads and on one stream.
class RankEnd {
 public:
  using All = std::vector<std::unique_ptr<RankEnd>>;  // by rank

  // Takes the memory, of the calling thread's device.
  RankEnd(int rank, const ExchangeSizes& sizes, ExchangeMemory memory, RankThreads* threads, const All* all);
  RankEnd(const RankEnd&) = delete;
  RankEnd& operator=(const RankEnd&) = delete;

  // Once all are made.
  void Connect(int* lost_rank, const ExchangeOptions& options, int most_blocks);

  bool is_first() const { return rank_ == 0; }
  // [tokens, hidden_size], what this rank adds to the hidden states.
  float* part(HiddenPart which) const { return parts_[static_cast<size_t>(which)].own.as<float>(); }
  float* part_logits() const { return part_logits_.own.as<float>(); }  // [rows, part_width]

  // A rank's part of the embedding, for all others once they have met. It does not change.
  void ShareEmbedding(const void* part) { embedding_ = part; }
  EmbeddingTable Embedding(int part_rows) const;

  // hidden [count] += the parts of all ranks, in their order.
  void AddParts(HiddenPart which, float* hidden, size_t count, cudaStream_t stream);
  // Before part_logits is written: the first rank has read what was there. A graph has that from its layers.
  void BeginLogits(cudaStream_t stream);
  // out [rows, vocab_size], of the first rank alone.
  void GatherLogits(int rows, float* out, cudaStream_t stream);
  void Meet() { threads_->Meet(); }

 private:
  struct Part {
    DeviceBuffer own;
    PinnedBuffer copy;  // empty: the others read `own`

    Part() = default;
    Part(size_t floats, ExchangeMemory memory, const char* what);
    float* shared() const { return copy.data() == nullptr ? own.as<float>() : copy.as<float>(); }
    void Share(size_t floats, cudaStream_t stream) const;
  };

  ExchangeWait Order(cudaStream_t stream);
  void WaitForOthers(cudaStream_t stream);
  ExchangeFlags* flags() const;

  const int rank_;
  const ExchangeSizes sizes_;
  RankThreads* const threads_;
  const All& all_;
  std::array<Part, 2> parts_;
  Part part_logits_;
  DeviceBuffer flags_;
  PinnedBuffer host_flags_;  // one of the two is empty
  // In turn: a rank can be one meeting ahead of another, which still asks for the event of the last.
  std::array<Event, 2> written_;
  uint64_t meetings_ = 0;
  std::optional<size_t> two_shot_floats_;
  const void* embedding_ = nullptr;
  std::array<ExchangePeers, 2> hidden_peers_{};
  ExchangePeers logits_peers_{};
};

class RankExchange {
 public:
  // `devices` by rank; two ranks may be on one. Throws executor::Failure with EXECUTOR_UNAVAILABLE where the embedding is split and a GPU
  // cannot read another's memory. Leaves the first rank's device as the calling thread's.
  RankExchange(std::vector<Device> devices, const ExchangeSizes& sizes, RankThreads* threads,
               const ExchangeOptions& options = {});

  ExchangeMemory memory() const { return memory_; }
  RankEnd* end(int rank) { return ends_[static_cast<size_t>(rank)].get(); }
  // Throws executor::Failure with EXECUTOR_FAILED where a rank was lost; what was computed since is wrong.
  void CheckNoneIsLost() const;

 private:
  std::vector<Device> devices_;
  ExchangeMemory memory_;
  PinnedBuffer lost_rank_;
  RankEnd::All ends_;
};

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_RANK_EXCHANGE_H_
