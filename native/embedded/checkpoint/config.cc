#include "native/embedded/checkpoint/config.h"

#include <simdjson.h>

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string_view>

#include "native/executor/cpp/failure.h"

namespace embedded {
namespace {

using executor::Failure;

constexpr char kConvertAgain[] = ". Convert the model again: npx node-tensorrt-llm convert SOURCE DIR";
using simdjson::dom::element;
using simdjson::dom::object;

constexpr int64_t kLargestSize = 1 << 27;  // products of two sizes stay far inside int64
constexpr int kMostLayers = 10000;
constexpr int kDefaultMaxBatchSize = 64;
constexpr int kDefaultMaxNumTokens = 512;

std::string Quoted(const element& value) {
  std::string text = simdjson::minify(value);
  size_t size = 100;
  if (text.size() <= size) return text;
  while ((static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;  // no character is cut in two
  return text.substr(0, size) + "...";
}

// One object of config.json. Its getters fail with the field's whole name.
class Fields {
 public:
  Fields(std::string path, std::string prefix, object fields)
      : path_(std::move(path)), prefix_(std::move(prefix)), fields_(fields) {}

  int Size(const char* name, std::optional<int> fallback = std::nullopt) const {
    const auto value = Find(name);
    if (!value) return Fallback(name, fallback, "a positive whole number");
    int64_t size;
    if (value->get_int64().get(size) || size < 1 || size > kLargestSize)
      Reject(name, *value, "a whole number from 1 to " + std::to_string(kLargestSize));
    return static_cast<int>(size);
  }

  double Positive(const char* name, std::optional<double> fallback = std::nullopt) const {
    const auto value = Find(name);
    if (!value) return Fallback(name, fallback, "a number above 0");
    double number;
    if (value->get_double().get(number) || !(number > 0) || number > std::numeric_limits<float>::max())
      Reject(name, *value, "a number above 0");
    return number;
  }

  std::string Text(const char* name, std::optional<std::string> fallback = std::nullopt) const {
    const auto value = Find(name);
    if (!value) return Fallback(name, fallback, "a string");
    std::string_view text;
    if (value->get_string().get(text)) Reject(name, *value, "a string");
    return std::string(text);
  }

  bool Flag(const char* name) const {
    const auto value = Find(name);
    bool flag = false;
    if (value && value->get_bool().get(flag)) Reject(name, *value, "true or false");
    return flag;
  }

  std::optional<Fields> Object(const char* name) const {
    const auto value = Find(name);
    if (!value) return std::nullopt;
    object fields;
    if (value->get_object().get(fields)) Reject(name, *value, "an object");
    return Fields(path_, prefix_ + name + ".", fields);
  }

  // For what only some value of is run here.
  void Expect(const char* name, const std::string& value, std::initializer_list<std::string_view> supported) const {
    if (std::find(supported.begin(), supported.end(), value) != supported.end()) return;
    std::string list;
    for (const std::string_view entry : supported) list += (list.empty() ? "" : ", ") + std::string(entry);
    Unsupported(name, value, list);
  }
  void ExpectFalse(const char* name) const {
    if (Flag(name)) Unsupported(name, "true", "false");
  }
  void ExpectNull(const char* name) const {
    if (const auto value = Find(name)) Unsupported(name, Quoted(*value), "null");
  }
  [[noreturn]] void Unsupported(const char* name, const std::string& found, const std::string& supported) const {
    throw Failure(EXECUTOR_MODEL_UNSUPPORTED, path_ + ": " + prefix_ + name + " is " + found + "; expected " +
                                                  supported + ". The embedded executor supports nothing else.");
  }
  [[noreturn]] void Reject(const char* name, const std::string& found, const std::string& expected) const {
    throw Failure(EXECUTOR_ENGINE_CONFIG,
                  path_ + ": " + prefix_ + name + " is " + found + "; expected " + expected + kConvertAgain);
  }

 private:
  // A null is a field that is not there.
  std::optional<element> Find(const char* name) const {
    element value;
    if (fields_[name].get(value) || value.is_null()) return std::nullopt;
    return value;
  }
  template <typename T>
  T Fallback(const char* name, const std::optional<T>& fallback, const char* expected) const {
    if (!fallback) Reject(name, "missing", expected);
    return *fallback;
  }
  [[noreturn]] void Reject(const char* name, const element& found, const std::string& expected) const {
    Reject(name, Quoted(found), expected);
  }

  std::string path_;
  std::string prefix_;
  object fields_;
};

RopeScaling ReadRopeScaling(const Fields& model) {
  RopeScaling scaling;
  const auto fields = model.Object("rotary_scaling");
  if (!fields) return scaling;
  const std::string type = fields->Text("rope_type", fields->Text("type", "default"));
  fields->Expect("rope_type", type, {"default", "linear", "llama3"});
  if (type == "default") return scaling;
  scaling.type = type == "linear" ? RopeScalingType::kLinear : RopeScalingType::kLlama3;
  scaling.factor = fields->Positive("factor");
  if (scaling.type == RopeScalingType::kLlama3) {
    scaling.low_freq_factor = fields->Positive("low_freq_factor");
    scaling.high_freq_factor = fields->Positive("high_freq_factor");
    scaling.original_max_positions = fields->Positive("original_max_position_embeddings");
    if (scaling.high_freq_factor <= scaling.low_freq_factor)
      fields->Reject("high_freq_factor", std::to_string(scaling.high_freq_factor), "above low_freq_factor");
  }
  return scaling;
}

void RefuseWhatIsNotRun(const Fields& model) {
  model.Expect("architecture", model.Text("architecture"), {"LlamaForCausalLM"});
  model.Expect("dtype", model.Text("dtype"), {"float32", "float16", "bfloat16"});
  model.Expect("hidden_act", model.Text("hidden_act"), {"silu"});
  model.Expect("position_embedding_type", model.Text("position_embedding_type", "rope_gpt_neox"), {"rope_gpt_neox"});
  for (const char* name : {"attn_bias", "mlp_bias", "qk_layernorm", "residual_mlp", "use_parallel_embedding"})
    model.ExpectFalse(name);
  if (const auto moe = model.Object("moe"))
    if (const int experts = moe->Size("num_experts", 1); experts > 1)
      moe->Unsupported("num_experts", std::to_string(experts), "a model without experts");
  if (const auto quantization = model.Object("quantization")) {
    quantization->ExpectNull("quant_algo");
    quantization->ExpectNull("kv_cache_quant_algo");
  }
  if (const auto mapping = model.Object("mapping"))
    for (const char* name : {"tp_size", "pp_size", "cp_size"})
      if (const int ranks = mapping->Size(name, 1); ranks > 1)
        mapping->Unsupported(name, std::to_string(ranks), "an engine of one rank");
}

ModelConfig ReadModel(const Fields& fields) {
  RefuseWhatIsNotRun(fields);
  ModelConfig model;
  model.dtype = fields.Text("dtype");
  model.hidden_size = fields.Size("hidden_size");
  model.layers = fields.Size("num_hidden_layers");
  if (model.layers > kMostLayers)
    fields.Reject("num_hidden_layers", std::to_string(model.layers), "at most " + std::to_string(kMostLayers));
  model.heads = fields.Size("num_attention_heads");
  model.kv_heads = fields.Size("num_key_value_heads", model.heads);
  model.head_dim = fields.Size("head_size", std::max(model.hidden_size / model.heads, 1));
  model.intermediate_size = fields.Size("intermediate_size");
  model.vocab_size = fields.Size("vocab_size");
  model.max_positions = fields.Size("max_position_embeddings");
  model.norm_epsilon = static_cast<float>(fields.Positive("norm_epsilon", 1e-5));
  model.rotary_base = fields.Positive("rotary_base", 10000.0);
  model.rope_scaling = ReadRopeScaling(fields);
  model.tied_head = fields.Flag("tie_word_embeddings") || fields.Flag("share_embedding_table");
  if (model.heads % model.kv_heads != 0)
    fields.Reject("num_key_value_heads", std::to_string(model.kv_heads),
                  "a divisor of num_attention_heads, " + std::to_string(model.heads));
  if (model.head_dim % 2 != 0) fields.Reject("head_size", std::to_string(model.head_dim), "even");
  const int64_t largest_width = int64_t{model.heads + 2 * int64_t{model.kv_heads}} * model.head_dim;
  if (largest_width > kLargestSize)
    fields.Reject("head_size", std::to_string(model.head_dim), "small enough for its number of heads");
  return model;
}

BuildConfig ReadBuild(const std::optional<Fields>& fields, const ModelConfig& model) {
  BuildConfig build{kDefaultMaxBatchSize, kDefaultMaxNumTokens, model.max_positions, model.max_positions};
  if (!fields) return build;
  build.max_batch_size = fields->Size("max_batch_size", build.max_batch_size);
  build.max_num_tokens = fields->Size("max_num_tokens", build.max_num_tokens);
  build.max_seq_len = fields->Size("max_seq_len", build.max_seq_len);
  build.max_input_len = fields->Size("max_input_len", build.max_seq_len);
  if (build.max_seq_len > model.max_positions)
    fields->Reject("max_seq_len", std::to_string(build.max_seq_len),
                   "at most max_position_embeddings, " + std::to_string(model.max_positions));
  return build;
}

}  // namespace

EngineConfig ReadEngineConfig(const std::string& engine_dir) {
  const std::string path = engine_dir + "/config.json";
  simdjson::dom::parser parser;
  element root;
  if (const auto error = parser.load(path).get(root)) {
    if (error == simdjson::IO_ERROR)
      throw Failure(EXECUTOR_ENGINE_NOT_FOUND,
                    path + " cannot be read; expected an engine directory with config.json and " +
                        "rank0.safetensors. Make one: npx node-tensorrt-llm convert SOURCE DIR");
    throw Failure(EXECUTOR_ENGINE_CONFIG,
                  path + " is not valid JSON: " + simdjson::error_message(error) + kConvertAgain);
  }
  object fields;
  if (root.get_object().get(fields))
    throw Failure(EXECUTOR_ENGINE_CONFIG, path + " holds " + Quoted(root) + "; expected an object" + kConvertAgain);
  const Fields config(path, "", fields);
  const auto pretrained = config.Object("pretrained_config");
  const ModelConfig model = ReadModel(pretrained ? *pretrained : config);
  return {model, ReadBuild(config.Object("build_config"), model)};
}

}  // namespace embedded
