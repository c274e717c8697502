// Where in the descending order of a row's weights something lies, without sorting them.
//
// A weight is a positive float, so its bits order it: three rounds of ten bits narrow an order down to one value. A
// round counts the weights of each bin and adds them up. The weights of a bin have one exponent, so their sum is a sum
// of integers: exact, and the same whatever the order in which atomics arrive.
#ifndef EMBEDDED_CUDA_SAMPLING_SELECT_CUH_
#define EMBEDDED_CUDA_SAMPLING_SELECT_CUH_

#include "embedded/cuda/device.cuh"

namespace embedded::cuda {

constexpr int kDrawThreads = 1024;
constexpr int kBins = 1024;

// A histogram and its running sums from the heaviest bin down: place i is bin kBins - 1 - i.
struct Histogram {
  uint32_t count[kBins];
  uint32_t low[kBins];   // sums of the lower ten of the bits that follow the bin's
  uint32_t high[kBins];  // and of the upper ten
};
struct Running {
  uint32_t count[kBins];  // of places 0 to i
  double mass[kBins];
};

struct SelectScratch {
  Histogram histogram;
  Running first_round;
  Running later_round;
  uint32_t warp_count[32];
  double warp_mass[32];
  int found;
};

// What is asked: the first weight, from the heaviest down, at which the running count reaches `count`, or the running
// mass reaches `mass`, or exceeds it.
enum class Until { kCountReaches, kMassReaches, kMassExceeds };
struct Query {
  Until until;
  uint32_t count;
  double mass;
};

// Calls body(index, value) for values[first], values[first + stride] and so on below `end`. Eight are loaded before the
// first is looked at: the compiler may not move a load across the atomics of a body.
template <typename Body>
__device__ __forceinline__ void ForEach(const float* values, int first, int stride, int end, Body body) {
  constexpr int kAtOnce = 8;
  for (; first < end; first += kAtOnce * stride) {
    float loaded[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) loaded[i] = first + i * stride < end ? values[first + i * stride] : 0.0f;
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i)
      if (first + i * stride < end) body(first + i * stride, loaded[i]);
  }
}

// Tokens whose weights have the same leading bits: the same weight, or one token alone.
struct Place {
  uint32_t prefix;  // those bits
  int shift;        // how many bits follow them: 0 if ties > 1
  uint32_t ties;
  uint32_t count_above;  // tokens that are heavier
  double mass_above;
  double mass_through;

  __device__ double weight() const { return __uint_as_float(prefix << shift); }  // if ties > 1
};

__device__ __forceinline__ double MassOf(uint32_t first_key, uint32_t count, uint64_t rest) {
  const uint64_t whole = count * (uint64_t{0x800000} + (first_key & 0x7FFFFF)) + rest;
  return ldexp(static_cast<double>(whole), static_cast<int>(first_key >> 23) - 150);
}

// Round 0, 1 or 2 over the weights of at least `least` whose leading bits are `prefix`, then the running sums, which
// start from `above`.
__device__ __noinline__ void RunRound(int round, uint32_t prefix, const float* weights, int size, float least,
                                      uint32_t count_above, double mass_above, SelectScratch* scratch,
                                      Running* running) {
  const int shift = 20 - 10 * round;
  const int thread = static_cast<int>(threadIdx.x);
  Histogram& histogram = scratch->histogram;
  histogram.count[thread] = histogram.low[thread] = histogram.high[thread] = 0;
  __syncthreads();
  ForEach(weights, thread, kDrawThreads, size, [&](int, float weight) {
    const uint32_t key = __float_as_uint(weight);
    const uint32_t leading = key >> shift;
    if (!(weight > 0 && weight >= least) || (round > 0 && leading >> 10 != prefix)) return;
    const uint32_t bin = leading % kBins;
    atomicAdd(&histogram.count[bin], 1u);
    if (round < 2) atomicAdd(&histogram.low[bin], key & 0x3FF);
    if (round < 1) atomicAdd(&histogram.high[bin], key >> 10 & 0x3FF);
  });
  __syncthreads();
  const int bin = kBins - 1 - thread;
  const uint32_t first_key = ((round > 0 ? prefix << 10 : 0) | static_cast<uint32_t>(bin)) << shift;
  uint32_t count = histogram.count[bin];
  double mass =
      count == 0 ? 0.0 : MassOf(first_key, count, histogram.low[bin] + (uint64_t{histogram.high[bin]} << 10));
  const int lane = thread % 32, warp = thread / 32;
#pragma unroll
  for (int offset = 1; offset < 32; offset *= 2) {
    const uint32_t other_count = __shfl_up_sync(0xffffffff, count, offset);
    const double other_mass = __shfl_up_sync(0xffffffff, mass, offset);
    if (lane < offset) continue;
    count += other_count;
    mass += other_mass;
  }
  if (lane == 31) {
    scratch->warp_count[warp] = count;
    scratch->warp_mass[warp] = mass;
  }
  __syncthreads();
  for (int w = 0; w < warp; ++w) {
    count_above += scratch->warp_count[w];
    mass_above += scratch->warp_mass[w];
  }
  running->count[thread] = count_above + count;
  running->mass[thread] = mass_above + mass;
  __syncthreads();
}

// The place in `running`, which starts from `count_above`, where the query is answered: the first bin that has a weight
// and reaches it, or the last that has one.
__device__ __noinline__ int FindPlace(const Query& query, const Running& running, uint32_t count_above,
                                      SelectScratch* scratch) {
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) scratch->found = kBins - 1;
  __syncthreads();
  const uint32_t count = running.count[thread];
  const double mass = running.mass[thread];
  const bool reached = query.until == Until::kCountReaches  ? count >= query.count
                       : query.until == Until::kMassReaches ? mass >= query.mass
                                                            : mass > query.mass;
  const bool has_weight = count > (thread == 0 ? count_above : running.count[thread - 1]);
  if (has_weight && (reached || count == running.count[kBins - 1])) atomicMin(&scratch->found, thread);
  __syncthreads();
  const int found = scratch->found;
  __syncthreads();
  return found;
}

// For all threads alike. `first_round` of the scratch must be that of the row, and some weight must be left.
__device__ __noinline__ Place Locate(const Query& query, const float* weights, int size, float least,
                                     SelectScratch* scratch) {
  Place place{0, 30, 0, 0, 0, 0};
  for (int round = 0; round < 3 && place.ties != 1; ++round) {
    if (round > 0)
      RunRound(round, place.prefix, weights, size, least, place.count_above, place.mass_above, scratch,
               &scratch->later_round);
    const Running& running = round == 0 ? scratch->first_round : scratch->later_round;
    const int found = FindPlace(query, running, place.count_above, scratch);
    if (found > 0) {
      place.count_above = running.count[found - 1];
      place.mass_above = running.mass[found - 1];
    }
    place.ties = running.count[found] - place.count_above;
    place.mass_through = running.mass[found];
    place.prefix = place.prefix << 10 | static_cast<uint32_t>(kBins - 1 - found);
    place.shift -= 10;
    __syncthreads();
  }
  return place;
}

// The token at index `tie`, in the order of token ids, of those at the place; -1 if there are fewer.
__device__ __noinline__ int32_t TokenAt(const Place& place, uint32_t tie, const float* weights, int size,
                                        SelectScratch* scratch) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  // Each warp has a run of tokens, a multiple of 32.
  const int run = (size + kDrawThreads - 1) / kDrawThreads * 32;
  const int begin = warp * run, end = min(size, begin + run);
  uint32_t count = 0;
  ForEach(weights, begin + lane, 32, end,
          [&](int, float weight) { count += __float_as_uint(weight) >> place.shift == place.prefix; });
  for (int offset = 16; offset > 0; offset /= 2) count += __shfl_xor_sync(0xffffffff, count, offset);
  if (lane == 0) scratch->warp_count[warp] = count;
  if (threadIdx.x == 0) scratch->found = -1;
  __syncthreads();
  uint32_t before = 0;
  for (int w = 0; w < warp; ++w) before += scratch->warp_count[w];
  if (tie >= before && tie < before + count) {
    for (int first = begin; first < end; first += 32) {
      const int i = first + lane;
      const bool equal = i < end && __float_as_uint(weights[i]) >> place.shift == place.prefix;
      const uint32_t who = __ballot_sync(0xffffffff, equal);
      if (equal && before + __popc(who & ((1u << lane) - 1)) == tie) scratch->found = i;
      before += __popc(who);
      if (before > tie) break;
    }
  }
  __syncthreads();
  const int32_t token = scratch->found;
  __syncthreads();
  return token;
}

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_SAMPLING_SELECT_CUH_
