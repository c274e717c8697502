// A tiny model of sizes that the GPU's kernels have. A test changes what it is about, then fills it.
#ifndef TEST_NATIVE_EMBEDDED_CUDA_GPU_MODEL_H_
#define TEST_NATIVE_EMBEDDED_CUDA_GPU_MODEL_H_

#include "../tiny_checkpoint.h"

namespace embedded::cuda {

inline TinyModel GpuModel(const char* dtype) {
  TinyModel model;
  model.dtype = dtype;
  model.hidden_size = 128;
  model.heads = 4;
  model.kv_heads = 2;
  model.head_dim = 64;
  model.intermediate_size = 256;
  model.vocab_size = 503;
  model.max_positions = 2048;
  model.build_config = R"({"max_batch_size": 32, "max_num_tokens": 1024})";
  return model;
}

}  // namespace embedded::cuda

#endif  // TEST_NATIVE_EMBEDDED_CUDA_GPU_MODEL_H_
