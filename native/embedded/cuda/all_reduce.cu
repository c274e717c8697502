#include <algorithm>
#include <type_traits>

#include "native/embedded/cuda/all_reduce.h"
#include "native/embedded/cuda/device.cuh"
#include "native/embedded/cuda/ptx.cuh"

namespace embedded::cuda {
namespace {

constexpr int kThreads = 512;

__device__ __forceinline__ void StoreRelease(uint32_t* to, uint32_t value) {
#if __CUDA_ARCH__ >= 700
  asm volatile("st.release.sys.global.u32 [%0], %1;" ::"l"(to), "r"(value) : "memory");
#endif
}
__device__ __forceinline__ uint32_t LoadAcquire(const uint32_t* from) {
  uint32_t value = 0;
#if __CUDA_ARCH__ >= 700
  asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(value) : "l"(from) : "memory");
#endif
  return value;
}
__device__ __forceinline__ uint64_t Nanoseconds() {
  uint64_t now;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
  return now;
}

// Waits until `peer` has come as often as `visit`, for a limited time.
__device__ void WaitForPeer(const ExchangePeers& peers, int peer, uint32_t visit) {
  constexpr uint32_t kPollsBetweenLooks = 1024;
  ExchangeFlags& own = *peers.flags[peers.rank];
  const uint32_t* const flag = &own.arrived[blockIdx.x][peer];
  uint64_t start = 0;
  // The difference is right when the counters have wrapped, too.
  for (uint32_t polls = 1; static_cast<int32_t>(LoadAcquire(flag) - visit) < 0; ++polls) {
    if (polls % kPollsBetweenLooks != 0) continue;
    if (*static_cast<volatile uint32_t*>(&own.gave_up) != 0) return;
    const uint64_t now = Nanoseconds();
    if (start == 0) start = now;
    if (now - start < peers.timeout_ns) continue;
    *static_cast<volatile uint32_t*>(&own.gave_up) = 1;
    *static_cast<volatile int*>(peers.lost_rank) = 1 + peer;
    __threadfence_system();
    return;
  }
}

enum class Waits { kNo, kYes };

// Of all threads of a block. What earlier kernels of this rank wrote is visible to the others behind it, and likewise theirs here.
__device__ void MeetPeers(const ExchangePeers& peers, Waits waits) {
  ExchangeFlags& own = *peers.flags[peers.rank];
  const int peer = static_cast<int>(threadIdx.x);
  const uint32_t visit = own.visits[blockIdx.x] + 1;
  if (peer < peers.ranks && peer != peers.rank) {
    StoreRelease(&peers.flags[peer]->arrived[blockIdx.x][peers.rank], visit);
    if (waits == Waits::kYes) WaitForPeer(peers, peer, visit);
  }
  __syncthreads();
  if (threadIdx.x == 0) own.visits[blockIdx.x] = visit;
}

__device__ __forceinline__ void Add(float4* sum, const float4& value) {
  sum->x += value.x;
  sum->y += value.y;
  sum->z += value.z;
  sum->w += value.w;
}

template <int kRanks>
__device__ __forceinline__ float4 SumOfParts(const ExchangePeers& peers, size_t i) {
  float4 parts[kRanks];
#pragma unroll
  for (int rank = 0; rank < kRanks; ++rank)
    if (rank < peers.ranks) parts[rank] = __ldcg(reinterpret_cast<const float4*>(peers.parts[rank]) + i);
  float4 sum = parts[0];
#pragma unroll
  for (int rank = 1; rank < kRanks; ++rank)
    if (rank < peers.ranks) Add(&sum, parts[rank]);
  return sum;
}

// Dependent kernels start when this one is over or nearly so: with their blocks in place of another rank's on the same GPU, that one
// could not come.
template <int kRanks, ExchangeWait kWait>
__global__ void __launch_bounds__(kThreads)
    AddPartsKernel(const __grid_constant__ ExchangePeers peers, float4* hidden, size_t count) {
  ptx::WaitForEarlierKernels();
  if (kWait == ExchangeWait::kByFlags) MeetPeers(peers, Waits::kYes);
  ptx::LaunchDependents();
  const size_t stride = size_t{gridDim.x} * kThreads;
  for (size_t i = size_t{blockIdx.x} * kThreads + threadIdx.x; i < count; i += stride) {
    float4 value = hidden[i];
    Add(&value, SumOfParts<kRanks>(peers, i));
    hidden[i] = value;
  }
}

enum class Shot { kBoth, kFirst, kSecond };

// A block's share is the same places of every slice, so what a block of the second shot reads, the same block of the slice's rank has
// written in the first.
template <int kRanks, Shot kShot>
__global__ void __launch_bounds__(kThreads)
    TwoShotKernel(const __grid_constant__ ExchangePeers peers, float4* hidden, size_t count, size_t slice) {
  ptx::WaitForEarlierKernels();
  if constexpr (kShot == Shot::kBoth) MeetPeers(peers, Waits::kYes);
  const size_t stride = size_t{gridDim.x} * kThreads, first = size_t{blockIdx.x} * kThreads + threadIdx.x;
  if constexpr (kShot != Shot::kSecond) {
    const size_t start = slice * peers.rank, size = start < count ? min(slice, count - start) : 0;
    float4* const own = reinterpret_cast<float4*>(peers.parts[peers.rank]) + start;
    for (size_t i = first; i < size; i += stride) own[i] = SumOfParts<kRanks>(peers, start + i);
  }
  if constexpr (kShot == Shot::kBoth) {
    __syncthreads();
    MeetPeers(peers, Waits::kYes);
  }
  ptx::LaunchDependents();
  if constexpr (kShot != Shot::kFirst) {
    for (size_t i = first; i < slice; i += stride) {
      float4 sums[kRanks];
#pragma unroll
      for (int rank = 0; rank < kRanks; ++rank) {
        const size_t at = slice * rank + i;
        if (rank < peers.ranks && at < count)
          sums[rank] = __ldcg(reinterpret_cast<const float4*>(peers.parts[rank]) + at);
      }
#pragma unroll
      for (int rank = 0; rank < kRanks; ++rank) {
        const size_t at = slice * rank + i;
        if (rank < peers.ranks && at < count) Add(&hidden[at], sums[rank]);
      }
    }
  }
}

template <ExchangeWait kWait>
__global__ void __launch_bounds__(kThreads)
    GatherColumnsKernel(const __grid_constant__ ExchangePeers peers, GatherShape shape, float* out) {
  ptx::WaitForEarlierKernels();
  if (kWait == ExchangeWait::kByFlags) MeetPeers(peers, out == nullptr ? Waits::kNo : Waits::kYes);
  ptx::LaunchDependents();
  if (out == nullptr) return;
  const size_t stride = size_t{gridDim.x} * kThreads;
  const size_t width = static_cast<size_t>(shape.width);
  const size_t part_width = static_cast<size_t>(shape.part_width);
  for (size_t i = size_t{blockIdx.x} * kThreads + threadIdx.x; i < width * shape.rows; i += stride) {
    const size_t row = i / width, column = i % width;
    out[i] = __ldcg(peers.parts[column / part_width] + row * part_width + column % part_width);
  }
}

__global__ void __launch_bounds__(kThreads) CopyToHostKernel(const float* from, float* pinned, size_t count) {
  ptx::WaitForEarlierKernels();
  ptx::LaunchDependents();
  const size_t stride = size_t{gridDim.x} * kThreads;
  for (size_t i = size_t{blockIdx.x} * kThreads + threadIdx.x; i < count; i += stride) pinned[i] = __ldcg(from + i);
}

Grid GridOf(const ExchangePeers& peers, size_t items, ExchangeWait wait) {
  const size_t most = wait == ExchangeWait::kByFlags ? static_cast<size_t>(peers.most_blocks) : 8192;
  return {dim3(static_cast<unsigned>(std::min((items + kThreads - 1) / kThreads, most))), dim3(kThreads)};
}

// Calls body with the number of ranks that kernels are compiled for, a std::integral_constant.
template <typename Body>
void WithRanks(int ranks, Body body) {
  if (ranks <= 2) return body(std::integral_constant<int, 2>());
  if (ranks <= 4) return body(std::integral_constant<int, 4>());
  return body(std::integral_constant<int, kMaxExchangeRanks>());
}

template <Shot kShot>
void LaunchTwoShot(const ExchangePeers& peers, float* hidden, size_t count, cudaStream_t stream) {
  const size_t ranks = static_cast<size_t>(peers.ranks), slice = (count / 4 + ranks - 1) / ranks;
  const ExchangeWait wait = kShot == Shot::kBoth ? ExchangeWait::kByFlags : ExchangeWait::kBefore;
  WithRanks(peers.ranks, [&](auto most_ranks) {
    Launch("AddPartsInTwoShots", TwoShotKernel<most_ranks(), kShot>, GridOf(peers, slice, wait), stream, peers,
           reinterpret_cast<float4*>(hidden), count / 4, slice);
  });
}

}  // namespace

void AddParts(const ExchangePeers& peers, float* hidden, size_t count, ExchangeWait wait, cudaStream_t stream) {
  WithRanks(peers.ranks, [&](auto most_ranks) {
    const auto kernel = wait == ExchangeWait::kByFlags ? AddPartsKernel<most_ranks(), ExchangeWait::kByFlags>
                                                       : AddPartsKernel<most_ranks(), ExchangeWait::kBefore>;
    Launch("AddParts", kernel, GridOf(peers, count / 4, wait), stream, peers, reinterpret_cast<float4*>(hidden),
           count / 4);
  });
}

void AddPartsInTwoShots(const ExchangePeers& peers, float* hidden, size_t count, cudaStream_t stream) {
  LaunchTwoShot<Shot::kBoth>(peers, hidden, count, stream);
}
void SumSlice(const ExchangePeers& peers, size_t count, cudaStream_t stream) {
  LaunchTwoShot<Shot::kFirst>(peers, nullptr, count, stream);
}
void AddSlices(const ExchangePeers& peers, float* hidden, size_t count, cudaStream_t stream) {
  LaunchTwoShot<Shot::kSecond>(peers, hidden, count, stream);
}

void GatherColumns(const ExchangePeers& peers, const GatherShape& shape, float* out, ExchangeWait wait,
                   cudaStream_t stream) {
  const auto kernel = wait == ExchangeWait::kByFlags ? GatherColumnsKernel<ExchangeWait::kByFlags>
                                                     : GatherColumnsKernel<ExchangeWait::kBefore>;
  const size_t items = static_cast<size_t>(shape.rows) * static_cast<size_t>(shape.width);
  Launch("GatherColumns", kernel, GridOf(peers, items, wait), stream, peers, shape, out);
}

void CopyToHost(const float* from, float* pinned, size_t count, cudaStream_t stream) {
  constexpr size_t kMostBlocks = 1024;
  const size_t blocks = std::min((count + kThreads - 1) / kThreads, kMostBlocks);
  Launch("CopyToHost", CopyToHostKernel, {dim3(static_cast<unsigned>(blocks)), dim3(kThreads)}, stream, from, pinned,
         count);
}

void LoadExchangeKernels() {
  const auto load = [](auto kernel) {
    cudaFuncAttributes attributes;
    CheckKernel(cudaFuncGetAttributes(&attributes, kernel), "loading the exchange of ranks");
  };
  for (const int ranks : {2, 4, kMaxExchangeRanks})
    WithRanks(ranks, [&](auto most_ranks) {
      load(AddPartsKernel<most_ranks(), ExchangeWait::kByFlags>);
      load(TwoShotKernel<most_ranks(), Shot::kBoth>);
    });
  load(GatherColumnsKernel<ExchangeWait::kByFlags>);
  load(CopyToHostKernel);
}

}  // namespace embedded::cuda
