// The weights of a Llama in the GPU's memory, as the kernels read them.
#ifndef EMBEDDED_CUDA_WEIGHTS_H_
#define EMBEDDED_CUDA_WEIGHTS_H_

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "native/embedded/checkpoint/config.h"
#include "native/embedded/cuda/device.h"
#include "native/embedded/cuda/element.h"
#include "native/embedded/cuda/kv_format.h"
#include "native/embedded/cuda/packed.h"
#include "native/embedded/cuda/resources.h"

namespace embedded::cuda {

// [outputs, depth]: elements, or packed.
struct MatrixWeights {
  const void* data = nullptr;
  WeightForm form = {};
  const void* input_factors = nullptr;  // [depth] elements that the input is multiplied by; null: none
};

// All are in LlamaWeights::memory, and elements where nothing else is said.
struct LayerWeights {
  const void* input_norm = nullptr;  // [hidden_size]
  MatrixWeights qkv;                 // [heads + 2 * kv_heads of head_dim, hidden_size]: queries, keys, values
  MatrixWeights dense;               // [hidden_size, heads * head_dim]
  const void* post_norm = nullptr;   // [hidden_size]
  MatrixWeights fc_gate;             // [2 * PaddedIntermediate, hidden_size]: fc, then gate, as SiluOutput pairs them
  MatrixWeights proj;                // [hidden_size, PaddedIntermediate]
  // Null where the model has none.
  const void* qkv_bias = nullptr;      // as the rows of qkv
  const void* q_norm = nullptr;        // [head_dim]
  const void* k_norm = nullptr;        // [head_dim]
  const void* dense_bias = nullptr;    // [hidden_size]
  const void* fc_gate_bias = nullptr;  // [2 * PaddedIntermediate]
  const void* proj_bias = nullptr;     // [hidden_size]
};

struct LlamaWeights {
  DeviceBuffer memory;
  const void* embedding = nullptr;  // [embedding_rows, hidden_size]
  std::vector<LayerWeights> layers;
  const void* final_norm = nullptr;  // [hidden_size]
  MatrixWeights head;                // [head_rows, hidden_size]; the embedding itself where the model ties them
};

// What the model is computed in on this GPU: its own type; bfloat16 for a model in fp32, and float16 for either where
// the GPU has no bfloat16.
Element ElementOf(const ModelConfig& model, const Device& device);

// intermediate_size rounded up to what the kernels sum over. The weights past the end are 0, and so is what they add.
int PaddedIntermediate(const ModelConfig& model);

// Whether FinishHeads does what the layer's product of queries, keys and values leaves: there is more than a rotation, or keys and
// values are stored in 8 bits, whose scale follows from a whole head.
bool FinishesHeads(const ModelConfig& model, KvType kv_type, int layer);

struct WeightSizes {
  uint64_t bytes;           // of LlamaWeights::memory
  uint64_t expanded_bytes;  // of the largest packed matrix as elements; 0: none is packed
};
// Of the weights in `path`, whose tensors are looked at; without one, of dummy weights. Throws executor::Failure for what LoadWeights
// cannot load.
WeightSizes PlanWeights(const std::optional<std::string>& path, const ModelConfig& model);

// Reads `path`, a rank of the unified checkpoint, through pinned memory, converting on the way; without one it makes dummy
// weights. When the call returns, kernels may read them without waiting for the stream. `on_progress` gets 0 to 1; if it
// returns false, the load is aborted with EXECUTOR_LOAD_ABORTED. Throws executor::Failure.
LlamaWeights LoadWeights(const std::optional<std::string>& path, const ModelConfig& model, Element element,
                         KvType kv_type, const std::function<bool(double)>& on_progress, cudaStream_t stream);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_WEIGHTS_H_
