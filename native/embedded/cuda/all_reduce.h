// What the ranks of an engine exchange in a step: every rank reads the parts of all others where they lie, on other GPUs or in the host's
// memory.
//   AddParts        hidden[i] += part of rank 0 [i] + part of rank 1 [i] + ..., in this order: the same bits on every rank
//   GatherColumns   out[row, rank * width + column] = part of that rank [row, column], up to out's width
// Floor of one shot: (ranks - 1) * the bytes of a part over the bandwidth of NVLink or PCIe. In two shots each rank adds up one slice of
// the parts where its own part lies, and then reads the slices of the others: 2 * (ranks - 1) / ranks of a part's bytes, and another
// wait. The bits are the same.
//
// A kernel that waits by flags (kByFlags) needs no help of the host, so it can be part of a CUDA graph: each block tells the same
// block of the other ranks that its rank's part is written, and waits for theirs. All ranks make the same launches in the same order,
// and their kernels must be able to run at the same time. What a rank wrote into one buffer may be overwritten once it has been through
// the exchange of another one: two buffers in turn are enough.
#ifndef EMBEDDED_CUDA_ALL_REDUCE_H_
#define EMBEDDED_CUDA_ALL_REDUCE_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace embedded::cuda {

constexpr int kMaxExchangeRanks = 8;
constexpr int kMaxExchangeBlocks = 64;

// One for each rank, where the others write it; cleared at the start.
struct ExchangeFlags {
  uint32_t arrived[kMaxExchangeBlocks]
                  [kMaxExchangeRanks];  // by block: how often each rank has come, which it writes itself
  uint32_t visits[kMaxExchangeBlocks];  // by block: how often this rank has come
  uint32_t gave_up;                     // a rank was lost: nothing waits any more
};

struct ExchangePeers {
  int rank;
  int ranks;
  int most_blocks;                          // that wait by flags; the same on all ranks, at most kMaxExchangeBlocks
  float* parts[kMaxExchangeRanks];          // by rank
  ExchangeFlags* flags[kMaxExchangeRanks];  // by rank
  int* lost_rank;                           // pinned; set to 1 + the rank that did not come within timeout_ns
  uint64_t timeout_ns;
};

enum class ExchangeWait {
  kByFlags,
  kBefore,  // the stream has waited for the other ranks' parts
};

// `count` is a multiple of 4, and all pointers are aligned to 16.
void AddParts(const ExchangePeers& peers, float* hidden, size_t count, ExchangeWait wait, cudaStream_t stream);

// The same in two shots, which wait by flags.
void AddPartsInTwoShots(const ExchangePeers& peers, float* hidden, size_t count, cudaStream_t stream);
// Either shot, where the stream has waited for the other ranks before each.
void SumSlice(const ExchangePeers& peers, size_t count, cudaStream_t stream);
void AddSlices(const ExchangePeers& peers, float* hidden, size_t count, cudaStream_t stream);

struct GatherShape {
  int rows;
  int part_width;
  int width;  // of `out`; the last part may reach past it
};
// `out` null: this rank does not need them. It waits for no other then, but they do for it.
void GatherColumns(const ExchangePeers& peers, const GatherShape& shape, float* out, ExchangeWait wait,
                   cudaStream_t stream);

// A kernel, because copies of several ranks on one GPU, as part of their graphs, were seen to wait for each other's kernels.
void CopyToHost(const float* from, float* pinned, size_t count, cudaStream_t stream);

// Loads the kernels for the current device. To load one later could wait for kernels that wait for it.
void LoadExchangeKernels();

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_ALL_REDUCE_H_
