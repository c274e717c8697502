#include "native/embedded/cuda/device.cuh"
#include "native/embedded/cuda/exponential.cuh"
#include "native/embedded/cuda/logits_processors.h"
#include "native/embedded/cuda/sampling_device.cuh"

namespace embedded::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kCopied = 8 * kThreads;  // logits that a block copies

// One block a row; the sum as cpu/sampler.cc has it, but for the order.
__global__ void __launch_bounds__(kThreads) LogSumKernel(LogitsProcessorShape shape, LogitsProcessorBuffers b) {
  WaitForPredecessor();
  __shared__ ChunkMaximum maxima[kThreads];
  __shared__ double scratch[32];
  const ProcessorRow& row = b.rows[blockIdx.x];
  if (row.of_logprobs == 0) return;
  const float* logits = b.logits + static_cast<size_t>(row.logits_row) * shape.logits_stride;
  const int thread = static_cast<int>(threadIdx.x);
  ChunkMaximum own{0, 0};
  ForEach(logits, thread, kThreads, shape.vocab_size, [&](int i, float logit) {
    if (!isnan(logit)) own.key = max(own.key, MaximumKey(logit, i));
  });
  maxima[thread] = own;
  __syncthreads();
  const float maximum = MaximumOf(maxima, kThreads).logit;
  double sum = 0;
  ForEach(logits, thread, kThreads, shape.vocab_size,
          [&](int, float logit) { sum += Exponential(__fsub_rn(logit, maximum)); });
  const double through = RunningSum(sum, scratch);
  if (thread == kThreads - 1) b.log_sums[blockIdx.x] = maximum + log(through);
}

__global__ void __launch_bounds__(kThreads) CopyLogitsKernel(LogitsProcessorShape shape, LogitsProcessorBuffers b) {
  WaitForPredecessor();
  const ProcessorRow& row = b.rows[blockIdx.y];
  const float* from = b.logits + static_cast<size_t>(row.logits_row) * shape.logits_stride;
  const uint32_t* mask = row.mask.count > 0 ? b.masks + row.mask.begin : nullptr;
  float* to = b.processed + static_cast<size_t>(blockIdx.y) * shape.vocab_size;
  const int end = min(shape.vocab_size, static_cast<int>(blockIdx.x + 1) * kCopied);
  for (int i = static_cast<int>(blockIdx.x) * kCopied + static_cast<int>(threadIdx.x); i < end; i += kThreads)
    to[i] = mask != nullptr && (mask[i / 32] >> i % 32 & 1) == 0 ? -INFINITY
            : row.of_logprobs == 0                               ? from[i]
                                                                 : static_cast<float>(from[i] - b.log_sums[blockIdx.y]);
}

__device__ bool Equal(const int32_t* a, const int32_t* b, int count) {
  for (int i = 0; i < count; ++i)
    if (a[i] != b[i]) return false;
  return true;
}

// One block a row.
__global__ void __launch_bounds__(kThreads) ProcessLogitsKernel(LogitsProcessorShape shape, LogitsProcessorBuffers b) {
  WaitForPredecessor();
  const ProcessorRow row = b.rows[blockIdx.x];
  float* logits = b.processed + static_cast<size_t>(blockIdx.x) * shape.vocab_size;
  uint32_t* counts = b.counts + static_cast<size_t>(blockIdx.x) * shape.vocab_size;
  const int32_t* history = row.history;
  const int tokens = row.history_tokens;
  const int thread = static_cast<int>(threadIdx.x);

  const DeviceTokenBias* biases = b.biases + row.bias.begin;
  for (int i = thread; i < row.bias.count; i += kThreads) {
    const int32_t token = biases[i].token;
    if (i > 0 && biases[i - 1].token == token) continue;  // the first of equal tokens adds them all, in order
    float logit = logits[token];
    for (int j = i; j < row.bias.count && biases[j].token == token; ++j) logit = __fadd_rn(logit, biases[j].value);
    logits[token] = logit;
  }
  __syncthreads();

  if (row.repetition_penalty != 1) {
    for (int i = thread; i < tokens; i += kThreads) {
      if (atomicAdd(&counts[history[i]], 1u) > 0) continue;  // the first thread does it for all
      float& logit = logits[history[i]];
      logit = logit > 0 ? __fdiv_rn(logit, row.repetition_penalty) : __fmul_rn(logit, row.repetition_penalty);
    }
    __syncthreads();
    for (int i = thread; i < tokens; i += kThreads) counts[history[i]] = 0;
    __syncthreads();
  }

  if (row.presence_penalty != 0 || row.frequency_penalty != 0) {
    for (int i = row.penalized_from + thread; i < tokens; i += kThreads) atomicAdd(&counts[history[i]], 1u);
    __syncthreads();
    for (int i = row.penalized_from + thread; i < tokens; i += kThreads) {
      const uint32_t count = atomicExch(&counts[history[i]], 0u);
      if (count == 0) continue;
      const float penalty =
          __fadd_rn(row.presence_penalty, __fmul_rn(row.frequency_penalty, static_cast<float>(count)));
      logits[history[i]] = __fsub_rn(logits[history[i]], penalty);
    }
    __syncthreads();
  }

  const int n = row.no_repeat_ngram;
  if (n > 0 && tokens >= n)
    for (int last = n - 1 + thread; last < tokens; last += kThreads)
      if (Equal(history + tokens - (n - 1), history + last - (n - 1), n - 1)) logits[history[last]] = -INFINITY;
  for (int i = thread; i < row.bad_words.count; i += kThreads) {
    const ListSlice word = b.bad_words[row.bad_words.begin + i];
    const int prefix = word.count - 1;
    const int32_t* word_tokens = b.bad_word_tokens + word.begin;
    if (prefix <= tokens && Equal(word_tokens, history + tokens - prefix, prefix))
      logits[word_tokens[prefix]] = -INFINITY;
  }
  if (tokens < row.min_length)
    for (int i = thread; i < row.end_ids.count; i += kThreads) logits[b.end_ids[row.end_ids.begin + i]] = -INFINITY;
}

}  // namespace

void ProcessLogits(const LogitsProcessorShape& shape, const LogitsProcessorBuffers& buffers, cudaStream_t stream) {
  if (shape.has_logprobs)
    Launch("ProcessLogits", LogSumKernel, {dim3(static_cast<unsigned>(shape.count)), dim3(kThreads)}, stream, shape,
           buffers);
  Launch("ProcessLogits", CopyLogitsKernel,
         {dim3(static_cast<unsigned>(CeilDivide(shape.vocab_size, kCopied)), static_cast<unsigned>(shape.count)),
          dim3(kThreads)},
         stream, shape, buffers);
  Launch("ProcessLogits", ProcessLogitsKernel, {dim3(static_cast<unsigned>(shape.count)), dim3(kThreads)}, stream,
         shape, buffers);
}

}  // namespace embedded::cuda
