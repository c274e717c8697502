// Linear layers whose sums do not depend on how many tokens there are, or where among them a token is: for batchInvariant.
//
// The columns of w go to 8 chains, 32 at a time: chain i has those from 256 * n + 32 * i on. Within a chain the products are added in
// the order of n, and the chains' sums from the first to the last. BlockRingGemv (linear.h) adds in the same order, with the same
// instructions, so for few tokens it gives the same bits.
#ifndef EMBEDDED_CUDA_INVARIANT_LINEAR_H_
#define EMBEDDED_CUDA_INVARIANT_LINEAR_H_

#include <cuda_runtime.h>

#include "native/embedded/cuda/launch.h"
#include "native/embedded/cuda/linear.h"

namespace embedded::cuda {

// Calls whose input is ElementsInput and whose weights are not packed, sm_80 on.
bool CanInvariantLinear(const LinearCall& call, const DeviceTraits& traits);

// The shapes of tiles that it is compiled for: of w's rows and of tokens. All give the same bits.
enum class InvariantTile { k32x32, k32x64, k64x64, k128x128 };
InvariantTile ChooseInvariantTile(const LinearCall& call, const DeviceTraits& traits);

void InvariantLinear(const LinearCall& call, cudaStream_t stream);
void InvariantLinear(const LinearCall& call, InvariantTile tile, cudaStream_t stream);  // for measuring

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_INVARIANT_LINEAR_H_
