// Instructions that CUDA C++ has no name for. What an architecture lacks traps there: the host never launches such a kernel on it.
#ifndef EMBEDDED_CUDA_PTX_CUH_
#define EMBEDDED_CUDA_PTX_CUH_

#include <cstdint>

namespace embedded::cuda::ptx {

__device__ inline uint32_t SharedAddress(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// The two halves of WaitForPredecessor of device.cuh, for kernels that let the next one start long before they have waited.
// LaunchDependents: the next kernel may start now. WaitForEarlierKernels: what they wrote can be read from here on, but never with
// ld.global.nc or __ldg, which ptxas moves across the wait; use __ldcg.
__device__ inline void LaunchDependents() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
__device__ inline void WaitForEarlierKernels() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

#if __CUDA_ARCH__ >= 900
// Barrier 1 of the block, among its first `threads`; __syncthreads is barrier 0.
__device__ inline void BarrierOf(int threads) { asm volatile("bar.sync 1, %0;" ::"r"(threads) : "memory"); }

// Barriers in shared memory that count arrivals and bytes (mbarrier). Each completion flips the phase, 0 first.
__device__ inline void InitBarrier(uint64_t* barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(SharedAddress(barrier)), "r"(arrivals) : "memory");
}
// Makes initialized barriers known to the copy engine.
__device__ inline void FenceBarrierInit() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
__device__ inline void Arrive(uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(SharedAddress(barrier)) : "memory");
}
// Arrives, and makes the phase wait for `bytes` of BulkCopy as well.
__device__ inline void ArriveExpecting(uint64_t* barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(SharedAddress(barrier)), "r"(bytes)
               : "memory");
}
__device__ inline void WaitForPhase(uint64_t* barrier, uint32_t phase) {
  uint32_t done;
  do {
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%1], %2;\n"
        "selp.u32 %0, 1, 0, done;\n"
        "}\n"
        : "=r"(done)
        : "r"(SharedAddress(barrier)), "r"(phase)
        : "memory");
  } while (done == 0);
}
// Starts copying `bytes`, a multiple of 16, from global to shared memory; both ends are aligned to 16.
__device__ inline void BulkCopy(void* shared, const void* global, uint32_t bytes, uint64_t* barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   SharedAddress(shared)),
               "l"(global), "r"(bytes), "r"(SharedAddress(barrier))
               : "memory");
}
#endif

}  // namespace embedded::cuda::ptx

#endif  // EMBEDDED_CUDA_PTX_CUH_
