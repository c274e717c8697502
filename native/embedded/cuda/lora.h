// LoRA (arXiv:2106.09685) over the rows of a step, each with an adapter of its own or none (as in arXiv:2310.18547): first every
// row's product with its adapter's a, then with its b.
//   shrunk[t, m, r] = sum over k of x[t, k] * a[m][r, k]
//   y[t, n]        += sum over r of shrunk[t, m, r] * b[m][n, r]
// for the modules m of a layer that read x. Sums in fp32, in an order that does not depend on the other rows. Rows without an
// adapter are not touched. Floor: the bytes of the adapters' matrices over the memory bandwidth.
#ifndef EMBEDDED_CUDA_LORA_H_
#define EMBEDDED_CUDA_LORA_H_

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "native/embedded/cuda/element.h"

namespace embedded::cuda {

// One module of one layer of an adapter, in device memory: elements, 16-byte aligned.
struct LoraPair {
  const void* a;  // [rank, x's stride]; 0 past x's inputs
  const void* b;  // [outputs, rank]
  int rank;       // 0: the adapter leaves the module as it is
};

// Which adapter each row of a step has. Kept in device memory, so that a recorded graph runs whatever adapters there are.
struct LoraRows {
  const LoraPair* const* adapters =
      nullptr;  // [slots]: each adapter's pairs, by layer and in it by LoraModule; null: no row has one
  const int32_t* slots = nullptr;  // [tokens]; below 0: none
};

constexpr int kMostLoraModules = 3;  // that read one x

struct LoraCall {
  Element element;
  int tokens;
  LoraRows rows;
  int first_pair;  // of an adapter's pairs: the first module's of the layer
  int modules;     // one after the other in LoraModule
  int max_rank;
  const void* x;  // [tokens, x_stride] elements, 16-byte aligned; x_stride is a multiple of 8
  int x_stride;
  float* shrunk;                       // [tokens, modules, max_rank]
  int outputs[kMostLoraModules];       // of each module
  int first_output[kMostLoraModules];  // where they begin in a row of y
  int y_stride;
  void* y;  // [tokens, y_stride]
  enum class Y { kElements, kFloats } y_has;
};

void AddLora(const LoraCall& call, cudaStream_t stream);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_LORA_H_
