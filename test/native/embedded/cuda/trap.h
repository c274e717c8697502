// Loses the GPU to this process, as a kernel with a bug would.
#ifndef TEST_NATIVE_EMBEDDED_CUDA_TRAP_H_
#define TEST_NATIVE_EMBEDDED_CUDA_TRAP_H_

namespace embedded::cuda {

// Launches a kernel that ends in an error on this GPU and does not wait for it. The error is sticky: each later call of the process that
// concerns this GPU fails too. Leaves the GPU as the calling thread's.
void LaunchTrap(int gpu);

}  // namespace embedded::cuda

#endif  // TEST_NATIVE_EMBEDDED_CUDA_TRAP_H_
