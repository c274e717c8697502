// config.json of an engine directory, in TensorRT-LLM's schema.
#ifndef EMBEDDED_CONFIG_H_
#define EMBEDDED_CONFIG_H_

#include <cstdint>
#include <string>

namespace embedded {

enum class RopeScalingType { kNone, kLinear, kLlama3 };

struct RopeScaling {
  RopeScalingType type = RopeScalingType::kNone;
  double factor = 1;
  double low_freq_factor = 1;  // llama3 only, as are the next two
  double high_freq_factor = 4;
  double original_max_positions = 8192;
};

// `pretrained_config`: what the model is.
struct ModelConfig {
  std::string dtype;  // float32, float16 or bfloat16
  int hidden_size;
  int layers;
  int heads;
  int kv_heads;
  int head_dim;  // even
  int intermediate_size;
  int vocab_size;
  int max_positions;
  float norm_epsilon;
  double rotary_base;
  RopeScaling rope_scaling;
  bool tied_head;  // the embedding is the head's matrix too

  int qkv_size() const { return (heads + 2 * kv_heads) * head_dim; }
};

// `build_config`: what the engine was planned for. A bare checkpoint config gets the defaults.
struct BuildConfig {
  int max_batch_size;
  int max_num_tokens;  // in one step
  int max_input_len;   // prompt tokens
  int max_seq_len;     // prompt and output tokens; at most the model's max_positions
};

struct EngineConfig {
  ModelConfig model;
  BuildConfig build;
};

// Reads `engine_dir`/config.json. Throws executor::Failure with EXECUTOR_ENGINE_NOT_FOUND, EXECUTOR_ENGINE_CONFIG (what
// is wrong in the file) or EXECUTOR_MODEL_UNSUPPORTED (what this executor does not run), each naming the field.
EngineConfig ReadEngineConfig(const std::string& engine_dir);

}  // namespace embedded

#endif  // EMBEDDED_CONFIG_H_
