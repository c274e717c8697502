// Grids of one block for each multiprocessor, for kernels that keep a ring of copies in flight.
#ifndef EMBEDDED_CUDA_PERSISTENT_GRID_H_
#define EMBEDDED_CUDA_PERSISTENT_GRID_H_

#include <algorithm>
#include <cstddef>

#include "native/embedded/cuda/launch.h"

namespace embedded::cuda {

constexpr int kFirstWithBulkCopies = 90;  // compute capability, 10 * major + minor

inline size_t SharedMemoryPerBlock(const DeviceTraits& traits) {
  return static_cast<size_t>(traits.shared_memory_per_block);
}

// Two blocks on one multiprocessor starve each other when such kernels overlap in a chain: an 8B step took 6.8 ms instead of 3.75 on
// an H200. So a block asks for more than half of a multiprocessor's shared memory, needed or not.
inline Grid PersistentGrid(const DeviceTraits& traits, int threads, size_t shared_memory) {
  const size_t more_than_half = static_cast<size_t>(traits.shared_memory_per_multiprocessor) / 2 + 1024;
  return {dim3(static_cast<unsigned>(traits.multiprocessors)), dim3(static_cast<unsigned>(threads)),
          std::max(shared_memory, std::min(more_than_half, SharedMemoryPerBlock(traits)))};
}

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_PERSISTENT_GRID_H_
