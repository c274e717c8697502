// Small random Llamas as TensorRT-LLM checkpoints, written by the tests themselves.
#ifndef TEST_EMBEDDED_TINY_CHECKPOINT_H_
#define TEST_EMBEDDED_TINY_CHECKPOINT_H_

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace embedded {

// A directory that is gone at the end of the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string path = std::filesystem::temp_directory_path() / "node-tensorrt-llm-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) throw std::runtime_error(path + " could not be made");
    path_ = path;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

inline void WriteFile(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

inline uint16_t ToBfloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

// Normal numbers only, truncated: enough for random weights.
inline uint16_t ToFloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  const int exponent = static_cast<int>((bits >> 23) & 0xFF) - 112;
  if (exponent <= 0) return 0;
  return static_cast<uint16_t>((bits >> 16 & 0x8000) | exponent << 10 | (bits >> 13 & 0x3FF));
}

// The number a weight has after it went through `dtype`.
inline float Rounded(float value, const std::string& dtype) {
  if (dtype == "float32") return value;
  if (dtype == "bfloat16") {
    const uint32_t bits = static_cast<uint32_t>(ToBfloat16(value)) << 16;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }
  const uint16_t bits = ToFloat16(value);
  if (bits == 0) return 0;
  const uint32_t wide = (bits & 0x8000u) << 16 | (((bits & 0x7FFFu) << 13) + (112u << 23));
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

struct TinyModel {
  int hidden_size = 48;
  int layers = 2;
  int heads = 4;
  int kv_heads = 2;
  int head_dim = 24;
  int intermediate_size = 72;
  int vocab_size = 101;
  int max_positions = 256;
  std::string dtype = "float32";
  bool tied_head = true;
  std::string rotary_scaling = "null";
  double rotary_base = 10000;
  // Biases, norms of queries and keys, a sliding window in the last layer and no RoPE in the first.
  enum class Layers { kPlain, kWithAllThereIs } layers_have = Layers::kPlain;
  std::string build_config = R"({"max_batch_size": 64, "max_num_tokens": 64})";
  bool qkv_apart = false;  // as three tensors of the file
  uint32_t seed = 1;

  std::map<std::string, std::vector<float>> tensors;  // by name, already rounded to dtype
  std::map<std::string, std::vector<int>> shapes;
  struct Blocks {
    std::string type;
    std::string bytes;
  };
  std::map<std::string, Blocks> blocks;  // what the file has of a matrix in place of its floats

  TinyModel& Fill() {
    std::mt19937 random(seed);
    const auto add = [&](const std::string& name, const std::vector<int>& shape, float mean, float spread) {
      size_t count = 1;
      for (const int size : shape) count *= static_cast<size_t>(size);
      std::vector<float>& values = tensors[name];
      shapes[name] = shape;
      for (size_t i = 0; i < count; ++i) {
        const float uniform = static_cast<float>(random() >> 8) * 0x1p-24f;
        values.push_back(Rounded(mean + spread * (2 * uniform - 1), dtype));
      }
    };
    add("transformer.vocab_embedding.weight", {vocab_size, hidden_size}, 0, 1);
    for (int i = 0; i < layers; ++i) {
      const std::string prefix = "transformer.layers." + std::to_string(i) + ".";
      add(prefix + "input_layernorm.weight", {hidden_size}, 1, 0.2f);
      add(prefix + "attention.qkv.weight", {(heads + 2 * kv_heads) * head_dim, hidden_size}, 0, 0.3f);
      add(prefix + "attention.dense.weight", {hidden_size, heads * head_dim}, 0, 0.2f);
      add(prefix + "post_layernorm.weight", {hidden_size}, 1, 0.2f);
      add(prefix + "mlp.fc.weight", {intermediate_size, hidden_size}, 0, 0.3f);
      add(prefix + "mlp.gate.weight", {intermediate_size, hidden_size}, 0, 0.3f);
      add(prefix + "mlp.proj.weight", {hidden_size, intermediate_size}, 0, 0.2f);
      if (layers_have == Layers::kPlain) continue;
      add(prefix + "attention.qkv.bias", {(heads + 2 * kv_heads) * head_dim}, 0, 0.3f);
      add(prefix + "attention.q_layernorm.weight", {head_dim}, 1, 0.2f);
      add(prefix + "attention.k_layernorm.weight", {head_dim}, 1, 0.2f);
      add(prefix + "attention.dense.bias", {hidden_size}, 0, 0.3f);
      add(prefix + "mlp.fc.bias", {intermediate_size}, 0, 0.3f);
      add(prefix + "mlp.gate.bias", {intermediate_size}, 0, 0.3f);
      add(prefix + "mlp.proj.bias", {hidden_size}, 0, 0.3f);
    }
    add("transformer.ln_f.weight", {hidden_size}, 1, 0.2f);
    if (!tied_head) add("lm_head.weight", {vocab_size, hidden_size}, 0, 0.3f);
    return *this;
  }

  std::string ConfigJson() const {
    const auto number = [](const char* name, int value) {
      return "\"" + std::string(name) + "\": " + std::to_string(value) + ", ";
    };
    return "{\"version\": \"1.0\", \"pretrained_config\": {\"architecture\": \"LlamaForCausalLM\", \"dtype\": \"" +
           dtype + "\", \"hidden_act\": \"silu\", \"norm_epsilon\": 1e-5, " + number("hidden_size", hidden_size) +
           number("num_hidden_layers", layers) + number("num_attention_heads", heads) +
           number("num_key_value_heads", kv_heads) + number("head_size", head_dim) +
           number("intermediate_size", intermediate_size) + number("vocab_size", vocab_size) +
           number("max_position_embeddings", max_positions) + "\"rotary_base\": " + std::to_string(rotary_base) +
           (layers_have == Layers::kPlain ? "" : AllThereIs()) +
           (blocks.empty() ? "" : R"(, "quantization": {"quant_algo": "GGML", "kv_cache_quant_algo": null})") +
           ", \"rotary_scaling\": " + rotary_scaling + ", \"tie_word_embeddings\": " + (tied_head ? "true" : "false") +
           "}, \"build_config\": " + build_config + "}";
  }

  std::string Safetensors() const {
    std::string header = "{\"__metadata__\": {\"format\": \"pt\"";
    for (const auto& [name, of] : blocks) header += ", \"" + name + "\": \"" + of.type + "\"";
    header += "}";
    std::string data;
    const char* type = dtype == "float32" ? "F32" : dtype == "float16" ? "F16" : "BF16";
    const auto add_entry = [&](const std::string& name, const char* dtype, const std::vector<int>& shape,
                               size_t begin) {
      std::string sizes;
      for (const int size : shape) sizes += (sizes.empty() ? "" : ",") + std::to_string(size);
      header += ", \"" + name + "\": {\"dtype\": \"" + dtype + "\", \"shape\": [" + sizes + "], \"data_offsets\": [" +
                std::to_string(begin) + ", " + std::to_string(data.size()) + "]}";
    };
    const auto add = [&](const std::string& name, const std::vector<int>& shape, const float* values) {
      const size_t begin = data.size();
      if (const auto of = blocks.find(name); of != blocks.end()) {
        data += of->second.bytes;
        return add_entry(name, "U8", {shape[0], static_cast<int>(of->second.bytes.size()) / shape[0]}, begin);
      }
      size_t count = 1;
      for (const int size : shape) count *= static_cast<size_t>(size);
      for (size_t i = 0; i < count; ++i) Append(values[i], &data);
      add_entry(name, type, shape, begin);
    };
    for (const auto& [name, values] : tensors) {
      const std::string fused = "qkv.weight";
      if (!qkv_apart || name.size() < fused.size() || name.substr(name.size() - fused.size()) != fused) {
        add(name, shapes.at(name), values.data());
        continue;
      }
      const std::string prefix = name.substr(0, name.size() - fused.size());
      const float* rows = values.data();
      for (const char* part : {"q", "k", "v"}) {
        const int outputs = (*part == 'q' ? heads : kv_heads) * head_dim;
        add(prefix + part + ".weight", {outputs, hidden_size}, rows);
        rows += static_cast<size_t>(outputs) * hidden_size;
      }
    }
    return SafetensorsOf(header + "}", data);
  }

  std::string AllThereIs() const {
    std::string windows, ropes;
    for (int i = 0; i < layers; ++i) {
      windows += std::string(i > 0 ? ", " : "") + (i + 1 < layers ? "0" : "1");
      ropes += i > 0 ? ", 1" : "0";
    }
    return R"(, "attn_bias": true, "mlp_bias": true, "qk_layernorm": true, "sliding_window": 45, "sliding_window_layers": [)" +
           windows + R"(], "no_rope_layers": [)" + ropes + "]";
  }

  static std::string SafetensorsOf(const std::string& header, const std::string& data) {
    const uint64_t size = header.size();
    return std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + header + data;
  }

  void Write(const std::string& directory) const {
    WriteFile(directory + "/config.json", ConfigJson());
    WriteFile(directory + "/rank0.safetensors", Safetensors());
  }

 private:
  void Append(float value, std::string* data) const {
    const uint16_t half = dtype == "float16" ? ToFloat16(value) : ToBfloat16(value);
    if (dtype == "float32")
      data->append(reinterpret_cast<const char*>(&value), sizeof(value));
    else
      data->append(reinterpret_cast<const char*>(&half), sizeof(half));
  }
};

// The one most tests run.
inline const TinyModel& DefaultModel() {
  static const TinyModel model = TinyModel().Fill();
  return model;
}

// Sequences of this one grow so long that a test is over before they are.
inline const TinyModel& EndlessModel() {
  static const TinyModel model = [] {
    TinyModel endless;
    endless.max_positions = 1000000;
    return endless.Fill();
  }();
  return model;
}

}  // namespace embedded

#endif  // TEST_EMBEDDED_TINY_CHECKPOINT_H_
