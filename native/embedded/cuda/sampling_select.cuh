// Where in the descending order of a row's weights something lies, without sorting them.
//
// A weight is a positive float, so its bits order it: three rounds of ten bits narrow an order down to one value. A
// round counts the weights of each bin and adds them up; the first one's histogram comes with the weights. The weights of a bin have one exponent, so their sum is a sum
// of integers: exact, and the same whatever the order in which atomics arrive.
#ifndef EMBEDDED_CUDA_SAMPLING_SELECT_CUH_
#define EMBEDDED_CUDA_SAMPLING_SELECT_CUH_

#include "native/embedded/cuda/sampling_device.cuh"

namespace embedded::cuda {

constexpr int kDrawThreads = 1024;
constexpr int kMaxCandidates = 2048;

// A histogram of a later round, and the running sums of any from the heaviest bin down: place i is bin kBins - 1 - i.
struct Histogram {
  uint32_t count[kBins];
  uint32_t rest[kBins];  // sums of the lower ten bits, in the second round
};
struct Running {
  uint32_t count[kBins];  // of places 0 to i
  double mass[kBins];
};

struct SelectScratch {
  Running first_round;
  union {  // either a row has few candidates, or there are later rounds
    struct {
      Histogram histogram;
      Running later_round;
    };
    uint64_t candidates[kMaxCandidates];  // bits of the weight and the token's complement: larger is likelier
  };
  uint32_t warp_count[32];
  double warp_mass[32];
  int found;
  uint32_t used;
};

// What is asked: the first weight, from the heaviest down, at which the running count reaches `count`, or the running
// mass reaches `mass`, or exceeds it.
enum class Until { kCountReaches, kMassReaches, kMassExceeds };
struct Query {
  Until until;
  uint32_t count;
  double mass;
};

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

// The running sums from this thread's bin's own, starting from `above`.
inline __device__ __noinline__ void RunSums(uint32_t count, double mass, uint32_t count_above, double mass_above,
                                            SelectScratch* scratch, Running* running) {
  const int thread = static_cast<int>(threadIdx.x);
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

inline __device__ void RunFirstRound(const WeightHistogram& histogram, SelectScratch* scratch) {
  const int bin = kBins - 1 - static_cast<int>(threadIdx.x);
  const uint32_t count = histogram.count[bin];
  const double mass = count == 0 ? 0.0 : MassOf(static_cast<uint32_t>(bin) << 20, count, histogram.rest[bin]);
  RunSums(count, mass, 0, 0, scratch, &scratch->first_round);
}

// Round 1 or 2 over the weights whose leading bits are `prefix`.
inline __device__ __noinline__ void RunRound(int round, uint32_t prefix, const float* weights, int size,
                                             uint32_t count_above, double mass_above, SelectScratch* scratch) {
  const int shift = 20 - 10 * round;
  const int thread = static_cast<int>(threadIdx.x);
  Histogram& histogram = scratch->histogram;
  histogram.count[thread] = histogram.rest[thread] = 0;
  __syncthreads();
  ForEach(weights, thread, kDrawThreads, size, [&](int, float weight) {
    const uint32_t key = __float_as_uint(weight);
    const uint32_t leading = key >> shift;
    if (leading >> 10 != prefix || !(weight > 0)) return;
    atomicAdd(&histogram.count[leading % kBins], 1u);
    if (round < 2) atomicAdd(&histogram.rest[leading % kBins], key & 0x3FF);
  });
  __syncthreads();
  const int bin = kBins - 1 - thread;
  const uint32_t first_key = (prefix << 10 | static_cast<uint32_t>(bin)) << shift;
  const uint32_t count = histogram.count[bin];
  const double mass = count == 0 ? 0.0 : MassOf(first_key, count, histogram.rest[bin]);
  RunSums(count, mass, count_above, mass_above, scratch, &scratch->later_round);
}

// The place in `running`, which starts from `count_above`, where the query is answered: the first bin that has a weight
// and reaches it, or the last that has one.
inline __device__ __noinline__ int FindPlace(const Query& query, const Running& running, uint32_t count_above,
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
inline __device__ __noinline__ Place Locate(const Query& query, const float* weights, int size,
                                            SelectScratch* scratch) {
  Place place{0, 30, 0, 0, 0, 0};
  for (int round = 0; round < 3 && place.ties != 1; ++round) {
    if (round > 0) RunRound(round, place.prefix, weights, size, place.count_above, place.mass_above, scratch);
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
inline __device__ __noinline__ int32_t TokenAt(const Place& place, uint32_t tie, const float* weights, int size,
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

// Puts the tokens of the heaviest bins, places 0 to `place`, in order into scratch->candidates: `count` of them, at most
// kMaxCandidates. What follows them there is 0.
inline __device__ __noinline__ void SortCandidates(int place, uint32_t count, const float* weights, int size,
                                                   SelectScratch* scratch) {
  const int thread = static_cast<int>(threadIdx.x);
  uint32_t places = 64;
  while (places < count) places *= 2;
  for (uint32_t i = static_cast<uint32_t>(thread); i < places; i += kDrawThreads) scratch->candidates[i] = 0;
  if (thread == 0) scratch->used = 0;
  __syncthreads();
  const uint32_t least = static_cast<uint32_t>(kBins - 1 - place);
  ForEach(weights, thread, kDrawThreads, size, [&](int token, float weight) {
    const uint32_t key = __float_as_uint(weight);
    if (!(weight > 0) || key >> 20 < least) return;
    scratch->candidates[atomicAdd(&scratch->used, 1u)] = uint64_t{key} << 32 | ~static_cast<uint32_t>(token);
  });
  __syncthreads();
  // Bitonic sort: Batcher, "Sorting networks and their applications", 1968.
  for (uint32_t run = 2; run <= places; run *= 2)
    for (uint32_t step = run / 2; step > 0; step /= 2) {
      for (uint32_t i = static_cast<uint32_t>(thread); i < places / 2; i += kDrawThreads) {
        const uint32_t low = i / step * step * 2 + i % step, high = low + step;
        const uint64_t a = scratch->candidates[low], b = scratch->candidates[high];
        if ((low & run) == 0 ? a < b : a > b) {
          scratch->candidates[low] = b;
          scratch->candidates[high] = a;
        }
      }
      __syncthreads();
    }
}

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_SAMPLING_SELECT_CUH_
