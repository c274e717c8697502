// Keyed random numbers on the device: bit for bit those of embedded/random.h.
// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#ifndef EMBEDDED_CUDA_PHILOX_CUH_
#define EMBEDDED_CUDA_PHILOX_CUH_

#include <cuda_runtime.h>

#include <cstdint>

namespace embedded::cuda {

// Philox4x32-10.
__device__ __forceinline__ uint4 Philox(uint4 counter, uint2 key) {
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint32_t high0 = __umulhi(0xD2511F53u, counter.x), low0 = 0xD2511F53u * counter.x;
    const uint32_t high1 = __umulhi(0xCD9E8D57u, counter.z), low1 = 0xCD9E8D57u * counter.z;
    counter = make_uint4(high1 ^ counter.y ^ key.x, low1, high0 ^ counter.w ^ key.y, low0);
    key.x += 0x9E3779B9u;
    key.y += 0xBB67AE85u;
  }
  return counter;
}

// Uniform in [0, 1), 53 bits: a function of the seed, the sequence and the position.
__device__ __forceinline__ double Uniform(uint64_t seed, uint32_t sequence, uint64_t position) {
  const uint4 bits =
      Philox(make_uint4(static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32), sequence, 0),
             make_uint2(static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)));
  const uint64_t mantissa = (static_cast<uint64_t>(bits.x) << 32 | bits.y) >> 11;
  return static_cast<double>(mantissa) * 0x1p-53;
}

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_PHILOX_CUH_
