// The likeliest tokens with their log-probabilities: one block a row.
#include "native/embedded/cuda/sampling_device.cuh"

namespace embedded::cuda {
namespace {

constexpr int kThreads = 1024;
constexpr int kTopBins = 2048;

struct Scratch {
  uint32_t count[kTopBins];
  uint32_t through[kThreads];
  double warp_mass[32];
  uint64_t candidates[kMaxTopLogprobs];  // OrderedBits and the token's complement: larger is likelier
  uint32_t warp_count[32];
  uint32_t bin;
  uint32_t above;
  uint32_t used;
};

// The bits of the count-th largest logit, and how many are larger: three rounds of 11, 11 and 10 bits.
__device__ uint32_t FindCutoff(const float* logits, int size, uint32_t count, Scratch* scratch) {
  const int thread = static_cast<int>(threadIdx.x);
  uint32_t prefix = 0, above = 0;
  const int shifts[3] = {21, 10, 0}, widths[3] = {11, 11, 10};
  for (int round = 0; round < 3; ++round) {
    scratch->count[thread] = scratch->count[thread + kThreads] = 0;
    __syncthreads();
    ForEach(logits, thread, kThreads, size, [&](int, float logit) {
      const uint32_t leading = OrderedBits(logit) >> shifts[round];
      if (round > 0 && leading >> widths[round] != prefix) return;
      atomicAdd(&scratch->count[leading & ((1u << widths[round]) - 1)], 1u);
    });
    __syncthreads();
    // Thread i has the two bins 2047 - 2 i and 2046 - 2 i.
    const int high_bin = kTopBins - 1 - 2 * thread;
    const uint32_t high = scratch->count[high_bin], both = high + scratch->count[high_bin - 1];
    const uint32_t through = above + static_cast<uint32_t>(RunningSum(both, scratch->warp_mass));
    const uint32_t before = through - both;
    if (before < count && count <= through) {
      const bool in_high = count <= before + high;
      scratch->bin = static_cast<uint32_t>(in_high ? high_bin : high_bin - 1);
      scratch->above = in_high ? before : before + high;
    }
    __syncthreads();
    prefix = (round > 0 ? prefix << widths[round] : 0) | scratch->bin;
    above = scratch->above;
    __syncthreads();
  }
  return prefix;
}

__global__ void __launch_bounds__(kThreads)
    TopLogprobsKernel(SamplingShape shape, SamplingBuffers b, SamplingWorkspace at) {
  __shared__ Scratch scratch;
  WaitForPredecessor();
  const size_t index = blockIdx.x;
  const SamplingRow row = b.rows[index];
  if (row.logits_row < 0 || row.top_logprobs <= 0) return;
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  const float* raw_logits = b.logits + static_cast<size_t>(row.logits_row) * shape.logits_stride;
  const float* logits = row.top_of == TopOf::kLogits
                            ? raw_logits
                            : b.processed + static_cast<size_t>(row.processed_row) * shape.vocab_size;
  const int size = shape.vocab_size;
  const uint32_t count = static_cast<uint32_t>(min(row.top_logprobs, min(size, kMaxTopLogprobs)));
  const uint32_t cutoff = FindCutoff(logits, size, count, &scratch);
  const uint32_t above = scratch.above;
  if (thread == 0) scratch.used = 0;
  __syncthreads();

  // Larger ones in any order: they are put in order below. Of those equal to the cutoff the lowest ids: each warp has a
  // run of tokens, and counts first.
  const int run = (size + kThreads - 1) / kThreads * 32;
  const int begin = warp * run, end = min(size, begin + run);
  uint32_t ties = 0;
  ForEach(logits, begin + lane, 32, end, [&](int i, float logit) {
    const uint32_t bits = OrderedBits(logit);
    ties += bits == cutoff;
    if (bits > cutoff) scratch.candidates[atomicAdd(&scratch.used, 1u)] = MaximumKey(logit, i);
  });
  for (int offset = 16; offset > 0; offset /= 2) ties += __shfl_xor_sync(0xffffffff, ties, offset);
  if (lane == 0) scratch.warp_count[warp] = ties;
  __syncthreads();
  uint32_t place = above;
  for (int w = 0; w < warp; ++w) place += scratch.warp_count[w];
  for (int first = begin; first < end && place < count && ties > 0; first += 32) {
    const int i = first + lane;
    const bool equal = i < end && OrderedBits(logits[i]) == cutoff;
    const uint32_t who = __ballot_sync(0xffffffff, equal);
    const uint32_t own = place + __popc(who & ((1u << lane) - 1));
    if (equal && own < count) scratch.candidates[own] = MaximumKey(logits[i], i);
    place += __popc(who);
  }
  __syncthreads();

  const double log_sum = LogSum(at, row, index, scratch.warp_mass);
  if (thread >= static_cast<int>(count)) return;
  const uint64_t own = scratch.candidates[thread];
  uint32_t rank = 0;
  for (uint32_t i = 0; i < count; ++i) rank += scratch.candidates[i] > own;
  const int32_t token = static_cast<int32_t>(~static_cast<uint32_t>(own));
  const float logprob = static_cast<float>(raw_logits[token] - log_sum);
  b.top_logprobs[index * static_cast<size_t>(shape.max_top_logprobs) + rank] = {
      token, logprob, row.top_of == TopOf::kLogits ? logprob : logits[token]};
}

}  // namespace

void LaunchTopLogprobs(const SamplingShape& shape, const SamplingBuffers& b, const SamplingWorkspace& at,
                       cudaStream_t stream) {
  Launch("TopLogprobs", TopLogprobsKernel, {dim3(static_cast<unsigned>(shape.rows)), dim3(kThreads)}, stream, shape, b,
         at);
}

}  // namespace embedded::cuda
