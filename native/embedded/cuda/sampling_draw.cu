// The draw: one block a row.
#include "native/embedded/cuda/philox.cuh"
#include "native/embedded/cuda/sampling_device.cuh"
#include "native/embedded/cuda/sampling_select.cuh"

namespace embedded::cuda {
namespace {

// The first token, by id, at which the running sum of the weights exceeds `target`; -1 if rounding left none.
__device__ __noinline__ int32_t PickFromAll(const float* weights, int size, const double* sums, int sum_count,
                                            double target, SelectScratch* scratch) {
  __shared__ int found_sum;
  __shared__ double found_before;
  const int thread = static_cast<int>(threadIdx.x);
  const int run = (sum_count + kDrawThreads - 1) / kDrawThreads;
  const int begin = min(sum_count, thread * run), end = min(sum_count, begin + run);
  double own = 0;
  for (int i = begin; i < end; ++i) own += sums[i];
  const double through = RunningSum(own, scratch->warp_mass);
  if (thread == 0) {
    scratch->found = kDrawThreads;
    found_sum = -1;
  }
  __syncthreads();
  if (through > target && own > 0) atomicMin(&scratch->found, thread);
  __syncthreads();
  if (thread == scratch->found) {
    double before = through - own;
    int i = begin;
    while (i + 1 < end && before + sums[i] <= target) before += sums[i++];
    found_sum = i;
    found_before = before;
  }
  __syncthreads();
  if (thread == 0) scratch->found = -1;
  __syncthreads();
  if (thread < 32 && found_sum >= 0) {
    // Each lane has eight tokens that follow each other.
    const int first = found_sum * kSumTokens + thread * (kSumTokens / 32);
    double lane_sum = 0;
    for (int i = first; i < min(size, first + kSumTokens / 32); ++i) lane_sum += weights[i];
    double lane_through = lane_sum;
    for (int offset = 1; offset < 32; offset *= 2) {
      const double other = __shfl_up_sync(0xffffffff, lane_through, offset);
      if (thread >= offset) lane_through += other;
    }
    const double left = target - found_before;
    const uint32_t who = __ballot_sync(0xffffffff, lane_through > left && lane_sum > 0);
    // The last lane with weight where rounding left a little of the target over.
    const uint32_t any = __ballot_sync(0xffffffff, lane_sum > 0);
    const int chosen = who != 0 ? __ffs(static_cast<int>(who)) - 1 : 31 - __clz(static_cast<int>(any));
    if (thread == chosen) {
      double before = lane_through - lane_sum;
      int32_t token = -1;
      for (int i = first; i < min(size, first + kSumTokens / 32); ++i) {
        if (!(weights[i] > 0)) continue;
        token = i;
        before += weights[i];
        if (before > left) break;
      }
      scratch->found = token;
    }
  }
  __syncthreads();
  const int32_t token = scratch->found;
  __syncthreads();
  return token;
}

// The likeliest tokens that are left: how many, and what they weigh together.
struct Kept {
  uint32_t count;
  double mass;
};

__device__ __noinline__ Kept CountFrom(float least, const float* weights, int size, SelectScratch* scratch) {
  uint32_t count = 0;
  double mass = 0;
  ForEach(weights, static_cast<int>(threadIdx.x), kDrawThreads, size, [&](int, float weight) {
    if (!(weight >= least)) return;
    ++count;
    mass += weight;
  });
  mass = RunningSum(mass, scratch->warp_mass);
  count = static_cast<uint32_t>(RunningSum(count, scratch->warp_mass));  // exact
  __shared__ Kept kept;
  if (threadIdx.x == kDrawThreads - 1) kept = {count, mass};
  __syncthreads();
  return kept;
}

// The first of the sorted candidates, two a thread, at which the running mass reaches `mass` or exceeds it; the last
// below `count` if none does.
__device__ __noinline__ uint32_t FindCandidate(Until until, double mass, uint32_t count, double first, double second,
                                               SelectScratch* scratch) {
  const uint32_t own = 2 * threadIdx.x;
  if (threadIdx.x == 0) scratch->used = count - 1;
  __syncthreads();
  if (own < count && (until == Until::kMassReaches ? first >= mass : first > mass)) atomicMin(&scratch->used, own);
  if (own + 1 < count && (until == Until::kMassReaches ? second >= mass : second > mass))
    atomicMin(&scratch->used, own + 1);
  __syncthreads();
  const uint32_t found = scratch->used;
  __syncthreads();
  return found;
}

// PickCut among few candidates, in order.
__device__ __noinline__ int32_t PickCandidate(const SamplingRow& row, uint32_t count, double sum, double uniform,
                                              SelectScratch* scratch) {
  const auto weight_of = [&](uint32_t i) -> double {
    return i < count ? __uint_as_float(static_cast<uint32_t>(scratch->candidates[i] >> 32)) : 0.0f;
  };
  const uint32_t own = 2 * threadIdx.x;
  const double second = RunningSum(weight_of(own) + weight_of(own + 1), scratch->warp_mass);
  const double first = second - weight_of(own + 1);
  const auto mass_through = [&](uint32_t place) {
    if (threadIdx.x == place / 2) scratch->warp_mass[0] = place % 2 == 0 ? first : second;
    __syncthreads();
    const double mass = scratch->warp_mass[0];
    __syncthreads();
    return mass;
  };
  if (row.top_k > 0 && static_cast<uint32_t>(row.top_k) < count) count = static_cast<uint32_t>(row.top_k);
  if (row.top_p < 1) {
    const double kept = row.top_k > 0 ? mass_through(count - 1) : sum;
    count = FindCandidate(Until::kMassReaches, double{row.top_p} * kept, count, first, second, scratch) + 1;
  }
  if (row.min_p > 0) {
    if (threadIdx.x == 0) scratch->used = 0;
    __syncthreads();
    for (const uint32_t i : {own, own + 1})
      if (i < count && weight_of(i) >= row.min_p) atomicMax(&scratch->used, i + 1);
    __syncthreads();
    count = max(scratch->used, 1u);
    __syncthreads();
  }
  const double target = uniform * mass_through(count - 1);
  const uint32_t found = FindCandidate(Until::kMassExceeds, target, count, first, second, scratch);
  return static_cast<int32_t>(~static_cast<uint32_t>(scratch->candidates[found]));
}

// top-k, then top-p, then min-p, and a draw from what they leave, in the order of descending weight.
__device__ int32_t PickCut(const SamplingRow& row, const WeightHistogram& histogram, const float* weights, int size,
                           double sum, double uniform, SelectScratch* scratch) {
  const bool cuts_k = row.top_k > 0 && row.top_k < size;
  const bool cuts_p = row.top_p < 1;
  RunFirstRound(histogram, scratch);
  // The bins that hold all that top-k, or else top-p, leaves. Usually that is little.
  const Query last{cuts_k ? Until::kCountReaches : Until::kMassReaches, static_cast<uint32_t>(max(row.top_k, 0)),
                   double{row.top_p} * sum * (1 + 1e-9)};
  const int last_place = FindPlace(last, scratch->first_round, 0, scratch);
  const uint32_t candidates = scratch->first_round.count[last_place];
  if (candidates <= kMaxCandidates) {
    SortCandidates(last_place, candidates, weights, size, scratch);
    SamplingRow cut = row;
    if (!cuts_k) cut.top_k = 0;
    return PickCandidate(cut, candidates, sum, uniform, scratch);
  }
  Kept kept{scratch->first_round.count[kBins - 1], cuts_k ? scratch->first_round.mass[kBins - 1] : sum};
  if (cuts_k && static_cast<uint32_t>(row.top_k) < kept.count) {
    const uint32_t k = static_cast<uint32_t>(row.top_k);
    const Place place = Locate({Until::kCountReaches, k, 0}, weights, size, scratch);
    kept.count = k;
    kept.mass = place.ties == 1 ? place.mass_through
                                : place.mass_above + static_cast<double>(k - place.count_above) * place.weight();
  }
  if (cuts_p) {
    const double mass = double{row.top_p} * kept.mass;
    const Place place = Locate({Until::kMassReaches, 0, mass}, weights, size, scratch);
    uint32_t ties = 1;  // the fewest that reach the mass
    if (place.ties > 1) {
      const double wanted = ceil((mass - place.mass_above) / place.weight());
      ties = static_cast<uint32_t>(fmin(fmax(wanted, 1.0), static_cast<double>(place.ties)));
      if (ties > 1 && place.mass_above + (ties - 1) * place.weight() >= mass) --ties;
    }
    if (place.count_above + ties < kept.count) {
      kept.count = place.count_above + ties;
      kept.mass = place.ties == 1 ? place.mass_through : place.mass_above + ties * place.weight();
    }
  }
  if (row.min_p > 0) {
    const Kept heavy = CountFrom(row.min_p, weights, size, scratch);
    if (heavy.count < kept.count) kept = heavy;
  }
  const double target = uniform * kept.mass;
  Place place = Locate({Until::kMassExceeds, 0, target}, weights, size, scratch);
  if (place.count_above >= kept.count)  // rounding: the last one, then
    place = Locate({Until::kCountReaches, kept.count, 0}, weights, size, scratch);
  uint32_t tie = 0;
  if (place.ties > 1) {
    const uint32_t last_tie = min(place.ties, kept.count - place.count_above) - 1;
    const double passed = floor((target - place.mass_above) / place.weight());
    tie = static_cast<uint32_t>(fmin(fmax(passed, 0.0), static_cast<double>(last_tie)));
  }
  return TokenAt(place, tie, weights, size, scratch);
}

__device__ bool CanDraw(const RowMaximum& maximum, float temperature) {
  return maximum.finite() && (temperature == 0 || !maximum.has_nan);
}

__global__ void __launch_bounds__(kDrawThreads)
    DrawKernel(SamplingShape shape, SamplingBuffers b, SamplingWorkspace at) {
  __shared__ SelectScratch scratch;
  WaitForPredecessor();
  const size_t index = blockIdx.x;
  const SamplingRow row = b.rows[index];
  if (row.logits_row < 0) return;
  const RowMaximum maximum = MaximumOf(at.maxima + index * at.chunks, at.chunks);
  DrawnToken drawn{-1, SamplingStatus::kDrawn, 0};
  if (!CanDraw(maximum, row.temperature)) {
    drawn.status = SamplingStatus::kNoFiniteLogit;
    if (row.processed_row >= 0 && CanDraw(MaximumOf(at.raw_maxima + index * at.chunks, at.chunks), row.temperature))
      drawn.status = SamplingStatus::kNothingLeft;
  } else if (row.temperature == 0) {
    drawn.token = maximum.token;
  } else {
    const float* weights = at.weights + index * shape.vocab_size;
    const double* sums = at.weight_sums + index * at.sums;
    const double sum = TotalOf(sums, at.sums, scratch.warp_mass);
    const double uniform = Uniform(row.seed, row.sequence, row.position);
    drawn.token = Cuts(row, shape.vocab_size)
                      ? PickCut(row, at.histograms[index], weights, shape.vocab_size, sum, uniform, &scratch)
                      : PickFromAll(weights, shape.vocab_size, sums, at.sums, uniform * sum, &scratch);
    if (drawn.token < 0) drawn.token = maximum.token;  // rounding left a little of the target over
  }
  if (drawn.token >= 0 && row.logprob == LogprobWish::kDrawnToken) {
    const float logit = b.logits[static_cast<size_t>(row.logits_row) * shape.logits_stride + drawn.token];
    drawn.logprob = static_cast<float>(logit - LogSum(at, row, index, scratch.warp_mass));
  }
  if (threadIdx.x != 0) return;
  b.drawn[index] = drawn;
  b.tokens[index] = max(drawn.token, 0);
  if (row.history_end != nullptr && drawn.token >= 0) *row.history_end = drawn.token;
}

}  // namespace

void LaunchDraw(const SamplingShape& shape, const SamplingBuffers& b, const SamplingWorkspace& at,
                cudaStream_t stream) {
  Launch("SampleTokens", DrawKernel, {dim3(static_cast<unsigned>(shape.rows)), dim3(kDrawThreads)}, stream, shape, b,
         at);
}

}  // namespace embedded::cuda
