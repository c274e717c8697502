// config.json of an engine directory, in TensorRT-LLM's schema.
#ifndef EMBEDDED_CONFIG_H_
#define EMBEDDED_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace embedded {

enum class RopeScalingType { kNone, kLinear, kDynamic, kLlama3, kYarn };

struct RopeScaling {
  RopeScalingType type = RopeScalingType::kNone;
  double factor = 1;
  double low_freq_factor = 1;  // llama3 only, as is the next
  double high_freq_factor = 4;
  double original_max_positions = 8192;  // what the model was trained for before it was scaled; not of linear
  double beta_fast = 32;                 // yarn only, as are the next three
  double beta_slow = 1;
  bool truncate = true;
  double attention_factor = 1;  // cosines and sines are multiplied by it
};

// kGgml is this package's own: matrices in the blocks of a GGUF file. The others are TensorRT-LLM's.
enum class QuantAlgo { kNone, kGgml, kW8A16, kW4A16, kW4A16Awq, kW4A16Gptq, kFp8, kFp8PerChannelPerToken };

// `quantization`: how the weights are stored.
struct Quantization {
  QuantAlgo algo = QuantAlgo::kNone;
  int group_size = 128;  // inputs that share a scale, as the next two of AWQ and GPTQ only
  bool has_zero_point = false;
  bool pre_quant_scale = false;
};

// `pretrained_config`: what the model is.
struct ModelConfig {
  std::string dtype;  // float32, float16 or bfloat16
  Quantization quantization;
  int hidden_size;
  int layers;
  int heads;
  int kv_heads;
  int head_dim;  // even
  int intermediate_size;
  int vocab_size;
  int max_positions;  // that RoPE reaches, its scaling included
  float norm_epsilon;
  double rotary_base;
  RopeScaling rope_scaling;
  bool tied_head;         // the embedding is the head's matrix too
  bool qkv_bias = false;  // of attention's queries, keys and values
  bool dense_bias = false;
  bool mlp_bias = false;              // of fc, gate and proj
  bool fused_fc = false;              // the checkpoint has gate and fc, in this order, as rows of one fc
  bool qk_norm = false;               // each head of queries and keys has an RMS norm before RoPE
  std::vector<bool> rope_layers;      // by layer; empty: RoPE in each
  std::optional<int> sliding_window;  // tokens that a query sees, itself included
  std::vector<bool> sliding_layers;   // by layer; empty: each, if there is a window
  int tp_size = 1;                    // ranks that share each layer
  int pp_size = 1;                    // stages of layers
  bool parallel_embedding = false;    // each rank has as many rows of the embedding as of the head
  int head_rows = 0;                  // of the head; a rank's are its part of the vocabulary, padding included
  int embedding_first = 0;            // the token whose row a rank's embedding begins with
  bool is_first_stage = true;         // has the embedding
  bool is_last_stage = true;          // has the last norm and the head

  int ranks() const { return tp_size * pp_size; }
  int embedding_rows() const { return parallel_embedding ? head_rows : vocab_size; }
  int qkv_size() const { return (heads + 2 * kv_heads) * head_dim; }
  bool HasRope(int layer) const { return rope_layers.empty() || rope_layers[static_cast<size_t>(layer)]; }
  std::optional<int> WindowOf(int layer) const {
    return sliding_layers.empty() || sliding_layers[static_cast<size_t>(layer)] ? sliding_window : std::nullopt;
  }
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

// Reads `engine_dir`/config.json; `quant_algos` are those that the executor runs beside kNone. Throws executor::Failure with EXECUTOR_ENGINE_NOT_FOUND, EXECUTOR_ENGINE_CONFIG (what
// is wrong in the file) or EXECUTOR_MODEL_UNSUPPORTED (what this executor does not run), each naming the field.
EngineConfig ReadEngineConfig(const std::string& engine_dir, const std::vector<QuantAlgo>& quant_algos);

}  // namespace embedded

#endif  // EMBEDDED_CONFIG_H_
