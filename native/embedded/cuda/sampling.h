// From logits to the next token, on the device, as cpu/sampler.h defines it: temperature, top-k, top-p and min-p,
// each on what the one before left; among equal logits the lower token id counts as the likelier; the draw is keyed by
// (seed, sequence, position). Equal logits give the CPU executor's token: weights are equal bit for bit, sums are in
// fp64 in an order of their own, so a draw that falls within 1e-15 of the border of two tokens may go to the other.
// Results depend on nothing but the row. A greedy row without log-probabilities reads its logits once.
// Floor: rows * vocab_size * 4 bytes (greedy), three times that (drawn), over the memory bandwidth.
#ifndef EMBEDDED_CUDA_SAMPLING_H_
#define EMBEDDED_CUDA_SAMPLING_H_

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace embedded::cuda {

// Likelier ones than this the host must pick from the logits itself.
constexpr int kMaxTopLogprobs = 512;

// What the likeliest tokens are listed by: the logits as they are, or the processed ones.
enum class TopOf : int32_t { kLogits, kProcessed };

enum class LogprobWish : int32_t { kNone, kDrawnToken };

// What the rows of a step ask for together, where the host knows: with kGreedy every row has temperature 0 and wants no
// log-probabilities, and a launch is saved.
enum class SamplingWork { kGreedy, kAny };

// What one row asks for, in device memory.
struct SamplingRow {
  int32_t logits_row = 0;      // of `logits`; forks of one prompt share one. Below 0: padding, nothing is written
  int32_t processed_row = -1;  // of `processed` (logits_processors.h), or below 0: the logits as they are
  float temperature = 1;       // 0: the likeliest token
  int32_t top_k = 0;           // 0: all tokens
  float top_p = 1;
  float min_p = 0;
  uint64_t seed = 0;
  uint64_t position = 0;  // of the new token
  uint32_t sequence = 0;
  LogprobWish logprob = LogprobWish::kNone;  // of the logits as they are: before processors, temperature and cuts
  int32_t top_logprobs = 0;                  // likeliest tokens wanted, at most kMaxTopLogprobs
  TopOf top_of = TopOf::kLogits;             // kProcessed: of a row that has a processed_row
  int32_t* history_end = nullptr;            // where the token is appended as well, or null
};

enum class SamplingStatus : int32_t {
  kDrawn = 0,
  kNoFiniteLogit = 1,  // the model's logits have no finite maximum or a NaN
  kNothingLeft = 2,    // the logits do, but the processors left none
};

struct DrawnToken {
  int32_t token;  // -1 unless kDrawn
  SamplingStatus status;
  float logprob;  // as asked for, else 0
};

struct TopLogprob {
  int32_t token;
  float logprob;  // of the logits as they are
  float score;    // what it is listed by: with kProcessed its processed logit, else its logprob
};

struct SamplingShape {
  int rows;
  int vocab_size;        // at most 2^22
  int logits_stride;     // floats
  int max_top_logprobs;  // of the rows; the width of top_logprobs
  SamplingWork work = SamplingWork::kAny;
};

struct SamplingBuffers {
  const float* logits;      // [logits rows, vocab_size], rows logits_stride apart
  const float* processed;   // [processed rows, vocab_size]
  const SamplingRow* rows;  // [rows]
  DrawnToken* drawn;        // [rows]
  int32_t* tokens;          // [rows] the drawn tokens once more, as GatherEmbeddings reads them; 0 where none was drawn
  TopLogprob* top_logprobs;  // [rows, max_top_logprobs] likeliest first
  void* workspace;           // SamplingWorkspaceBytes
};

size_t SamplingWorkspaceBytes(int rows, int vocab_size);

void SampleTokens(const SamplingShape& shape, const SamplingBuffers& buffers, cudaStream_t stream);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_SAMPLING_H_
