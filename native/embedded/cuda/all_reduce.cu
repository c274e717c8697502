#include <algorithm>

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
    float4 parts[kRanks];
#pragma unroll
    for (int rank = 0; rank < kRanks; ++rank)
      if (rank < peers.ranks) parts[rank] = __ldcg(reinterpret_cast<const float4*>(peers.parts[rank]) + i);
    float4 sum = parts[0];
#pragma unroll
    for (int rank = 1; rank < kRanks; ++rank) {
      if (rank >= peers.ranks) break;
      sum.x += parts[rank].x;
      sum.y += parts[rank].y;
      sum.z += parts[rank].z;
      sum.w += parts[rank].w;
    }
    float4 value = hidden[i];
    value.x += sum.x;
    value.y += sum.y;
    value.z += sum.z;
    value.w += sum.w;
    hidden[i] = value;
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

Grid GridOf(const ExchangePeers& peers, size_t items, ExchangeWait wait) {
  const size_t most = wait == ExchangeWait::kByFlags ? static_cast<size_t>(peers.most_blocks) : 8192;
  return {dim3(static_cast<unsigned>(std::min((items + kThreads - 1) / kThreads, most))), dim3(kThreads)};
}

template <int kRanks>
void AddPartsOf(const ExchangePeers& peers, float* hidden, size_t count, ExchangeWait wait, cudaStream_t stream) {
  const auto kernel = wait == ExchangeWait::kByFlags ? AddPartsKernel<kRanks, ExchangeWait::kByFlags>
                                                     : AddPartsKernel<kRanks, ExchangeWait::kBefore>;
  Launch("AddParts", kernel, GridOf(peers, count / 4, wait), stream, peers, reinterpret_cast<float4*>(hidden),
         count / 4);
}

}  // namespace

void AddParts(const ExchangePeers& peers, float* hidden, size_t count, ExchangeWait wait, cudaStream_t stream) {
  if (peers.ranks <= 2) return AddPartsOf<2>(peers, hidden, count, wait, stream);
  if (peers.ranks <= 4) return AddPartsOf<4>(peers, hidden, count, wait, stream);
  return AddPartsOf<kMaxExchangeRanks>(peers, hidden, count, wait, stream);
}

void GatherColumns(const ExchangePeers& peers, const GatherShape& shape, float* out, ExchangeWait wait,
                   cudaStream_t stream) {
  const auto kernel = wait == ExchangeWait::kByFlags ? GatherColumnsKernel<ExchangeWait::kByFlags>
                                                     : GatherColumnsKernel<ExchangeWait::kBefore>;
  const size_t items = static_cast<size_t>(shape.rows) * static_cast<size_t>(shape.width);
  Launch("GatherColumns", kernel, GridOf(peers, items, wait), stream, peers, shape, out);
}

void LoadExchangeKernels() {
  const auto load = [](auto kernel) {
    cudaFuncAttributes attributes;
    CheckKernel(cudaFuncGetAttributes(&attributes, kernel), "loading the exchange of ranks");
  };
  load(AddPartsKernel<2, ExchangeWait::kByFlags>);
  load(AddPartsKernel<4, ExchangeWait::kByFlags>);
  load(AddPartsKernel<kMaxExchangeRanks, ExchangeWait::kByFlags>);
  load(GatherColumnsKernel<ExchangeWait::kByFlags>);
}

}  // namespace embedded::cuda
