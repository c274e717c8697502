// What the sampling kernels hand to each other.
#ifndef EMBEDDED_CUDA_SAMPLING_WORKSPACE_H_
#define EMBEDDED_CUDA_SAMPLING_WORKSPACE_H_

#include <cstddef>
#include <cstdint>

namespace embedded::cuda {

constexpr int kChunk = 4096;     // logits that one block of the first kernels reads
constexpr int kSumTokens = 256;  // weights in one sum, as in cpu/sampler.cc

struct ChunkMaximum {
  uint64_t key;      // of the largest logit: MaximumKey
  uint64_t has_nan;  // 1 if the chunk has one
};

constexpr int kBins = 1024;

// A row's weights by their ten leading bits: sampling_select.cuh. Only for rows that cut.
struct WeightHistogram {
  uint32_t count[kBins];
  uint64_t rest[kBins];  // sums of the 20 bits that follow
};

struct SamplingWorkspace {
  int chunks;                   // of a row
  int sums;                     // of a row
  ChunkMaximum* maxima;         // [rows, chunks] of what is drawn from
  ChunkMaximum* raw_maxima;     // [rows, chunks] of the logits as they are; only for rows with processors
  float* weights;               // [rows, vocab_size] exp((logit - maximum) / temperature); only for rows that draw
  double* weight_sums;          // [rows, sums]
  WeightHistogram* histograms;  // [rows]
  double* raw_sums;  // [rows, sums] of exp(logit - maximum), the logits as they are; only for log-probabilities
  size_t bytes;

  SamplingWorkspace(void* base, int rows, int vocab_size)
      : chunks((vocab_size + kChunk - 1) / kChunk), sums((vocab_size + kSumTokens - 1) / kSumTokens), bytes(0) {
    const size_t row_count = static_cast<size_t>(rows);
    maxima = Take<ChunkMaximum>(base, row_count * static_cast<size_t>(chunks));
    raw_maxima = Take<ChunkMaximum>(base, row_count * static_cast<size_t>(chunks));
    weights = Take<float>(base, row_count * static_cast<size_t>(vocab_size));
    weight_sums = Take<double>(base, row_count * static_cast<size_t>(sums));
    histograms = Take<WeightHistogram>(base, row_count);
    raw_sums = Take<double>(base, row_count * static_cast<size_t>(sums));
  }

 private:
  template <typename T>
  T* Take(void* base, size_t count) {
    T* part = base == nullptr ? nullptr : reinterpret_cast<T*>(static_cast<uint8_t*>(base) + bytes);
    bytes = (bytes + sizeof(T) * count + 255) / 256 * 256;
    return part;
  }
};

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_SAMPLING_WORKSPACE_H_
