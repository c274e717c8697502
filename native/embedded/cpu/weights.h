// The weights of a Llama, in the layout the kernels read.
#ifndef EMBEDDED_CPU_WEIGHTS_H_
#define EMBEDDED_CPU_WEIGHTS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "native/embedded/checkpoint/config.h"
#include "native/embedded/cpu/kernels.h"
#include "native/embedded/cpu/paged_memory.h"
#include "native/embedded/cpu/thread_pool.h"

namespace embedded::cpu {

// A matrix [outputs, depth] as panels; what the last panel has past its outputs is without effect.
struct Matrix {
  std::byte* data = nullptr;  // in LlamaWeights::memory
  const Layout* layout = nullptr;
  int outputs = 0;
  int depth = 0;

  int panels() const { return (outputs + kPanelWidth - 1) / kPanelWidth; }
  size_t panel_bytes() const { return layout->panel_bytes(depth); }
  size_t bytes() const { return panels() * panel_bytes(); }
  std::byte* panel(int index) const { return data + index * panel_bytes(); }
  // The weights of one output, as fp32 [depth]: a row of the embedding.
  void Row(int output, float* out) const;
};

// A bias or norm that the model does not have is empty. Of a rank, what another stage has is empty too.
struct LayerWeights {
  std::vector<float> input_norm;  // [hidden_size]
  Matrix q;                       // [heads * head_dim, hidden_size]
  Matrix k;                       // [kv_heads * head_dim, hidden_size]
  Matrix v;                       // [kv_heads * head_dim, hidden_size]
  Matrix dense;                   // [hidden_size, heads * head_dim]
  std::vector<float> post_norm;   // [hidden_size]
  Matrix fc;                      // [intermediate_size, hidden_size]; TensorRT-LLM's name for what SiLU is taken of
  Matrix gate;                    // [intermediate_size, hidden_size]
  Matrix proj;                    // [hidden_size, intermediate_size]
  std::vector<float> qkv_bias;    // [heads + 2 * kv_heads of head_dim]: of q, k and v
  std::vector<float> q_norm;      // [head_dim]
  std::vector<float> k_norm;      // [head_dim]
  std::vector<float> dense_bias;  // [hidden_size]
  std::vector<float> fc_bias;     // [intermediate_size], rounded up to whole panels
  std::vector<float> gate_bias;   // likewise
  std::vector<float> proj_bias;   // [hidden_size]
};

struct LlamaWeights {
  PagedMemory memory;
  Matrix embedding;  // [vocab_size, hidden_size]
  std::vector<LayerWeights> layers;
  std::vector<float> final_norm;  // [hidden_size]
  Matrix head;                    // [head_rows, hidden_size]; the embedding itself where the model ties them
  uint64_t bytes = 0;
};

// Reads `path`, a rank of the unified checkpoint, into huge pages, in the layouts of `kernels`; without one it makes dummy
// weights of the model's type.
// The file is read piece by piece, so the weights are in memory once. `on_progress` gets 0 to 1 on the calling thread; if it
// returns false, the load is aborted with EXECUTOR_LOAD_ABORTED. Throws executor::Failure.
LlamaWeights LoadWeights(const std::optional<std::string>& path, const ModelConfig& model, const Kernels& kernels,
                         ThreadPool* pool, const std::function<bool(double)>& on_progress);

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_WEIGHTS_H_
