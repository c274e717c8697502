#include "native/embedded/checkpoint/config.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "native/executor/cpp/failure.h"
#include "native/json/config_file.h"

namespace embedded {
namespace {

using executor::Failure;
using json::Fields;

constexpr int kMostLayers = 10000;
constexpr int kDefaultMaxBatchSize = 64;
constexpr int kDefaultMaxNumTokens = 512;

constexpr char kMissing[] =
    "cannot be read; expected an engine directory with config.json and rank0.safetensors. Make one: npx "
    "node-tensorrt-llm convert SOURCE DIR";
constexpr char kConvertAgain[] = "Convert the model again: npx node-tensorrt-llm convert SOURCE DIR";

[[noreturn]] void Unsupported(const Fields& fields, const char* name, const std::string& supported) {
  throw Failure(EXECUTOR_MODEL_UNSUPPORTED,
                fields.Place(name) + " is " + fields.Show(name) + "; expected " + supported +
                    ", because the embedded executor runs nothing else. Use another checkpoint of the model, or "
                    "another model.");
}

// Of a field with few supported values. The fallback, for a field that is missing, is one of them.
std::string TextOf(const Fields& fields, const char* name, std::initializer_list<std::string_view> supported,
                   const std::optional<std::string>& fallback = std::nullopt) {
  std::string value = fields.Text(name, fallback);
  if (std::find(supported.begin(), supported.end(), value) != supported.end()) return value;
  std::string list;
  for (const std::string_view entry : supported) list += (list.empty() ? "" : " or ") + std::string(entry);
  Unsupported(fields, name, list);
}

// Source: arXiv:2309.00071, and transformers' _compute_yarn_parameters for `mscale`, which DeepSeek's models brought.
double YarnAttentionFactor(const Fields& yarn, double factor) {
  if (yarn.Has("attention_factor")) return yarn.Positive("attention_factor");
  const auto scale = [factor](double mscale) { return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1; };
  if (yarn.Has("mscale") && yarn.Has("mscale_all_dim"))
    return scale(yarn.Positive("mscale")) / scale(yarn.Positive("mscale_all_dim"));
  return scale(1);
}

RopeScaling ReadRopeScaling(const Fields& model, int max_positions) {
  RopeScaling scaling;
  const auto fields = model.OptionalObject("rotary_scaling");
  if (!fields) return scaling;
  const char* const name = fields->Has("rope_type") ? "rope_type" : "type";
  const std::string type = TextOf(*fields, name, {"default", "linear", "dynamic", "llama3", "yarn"}, "default");
  if (type == "default") return scaling;
  scaling.factor = fields->Positive("factor");
  if (type == "linear") {
    scaling.type = RopeScalingType::kLinear;
  } else if (type == "dynamic") {
    scaling.type = RopeScalingType::kDynamic;
    scaling.original_max_positions = max_positions;
  } else if (type == "llama3") {
    scaling.type = RopeScalingType::kLlama3;
    scaling.low_freq_factor = fields->Positive("low_freq_factor");
    scaling.high_freq_factor = fields->Positive("high_freq_factor");
    scaling.original_max_positions = fields->Positive("original_max_position_embeddings");
    if (scaling.high_freq_factor <= scaling.low_freq_factor)
      fields->Reject("high_freq_factor", "a number above low_freq_factor");
  } else {
    scaling.type = RopeScalingType::kYarn;
    scaling.original_max_positions = fields->Positive("original_max_position_embeddings", max_positions);
    scaling.beta_fast = fields->Positive("beta_fast", scaling.beta_fast);
    scaling.beta_slow = fields->Positive("beta_slow", scaling.beta_slow);
    scaling.truncate = !fields->Has("truncate") || fields->Flag("truncate");
    scaling.attention_factor = YarnAttentionFactor(*fields, scaling.factor);
  }
  return scaling;
}

// Linear, dynamic and yarn stretch what the model was trained for; lib/engine/directory/rope.ts has the same rule.
int ScaledPositions(int max_positions, const RopeScaling& scaling) {
  double positions = max_positions;
  if (scaling.type == RopeScalingType::kLinear || scaling.type == RopeScalingType::kDynamic)
    positions *= scaling.factor;
  if (scaling.type == RopeScalingType::kYarn) positions = scaling.original_max_positions * scaling.factor;
  return static_cast<int>(std::clamp<double>(std::floor(positions), max_positions, json::kLargestSize));
}

// A list that has an entry for each layer, or is not there.
std::vector<bool> ByLayer(const Fields& fields, const char* name, int layers) {
  std::vector<bool> entries = fields.Flags(name);
  if (!entries.empty() && entries.size() != static_cast<size_t>(layers))
    fields.Reject(name, "an entry for each of the " + std::to_string(layers) + " layers");
  return entries;
}

void ReadLayers(const Fields& fields, ModelConfig* model) {
  const std::string architecture = fields.Text("architecture");
  const bool bias = fields.Flag("attn_bias");
  model->fused_fc = architecture == "Phi3ForCausalLM";
  if (model->fused_fc && fields.Positive("rotary_pct", 1.0) != 1) Unsupported(fields, "rotary_pct", "1");
  model->qkv_bias = bias;
  model->dense_bias = bias && architecture != "Qwen2ForCausalLM";
  model->mlp_bias = fields.Flag("mlp_bias");
  model->qk_norm = fields.Flag("qk_layernorm");
  model->rope_layers = ByLayer(fields, "no_rope_layers", model->layers);
  if (!fields.Has("sliding_window")) return;
  model->sliding_window = fields.Size("sliding_window");
  model->sliding_layers = ByLayer(fields, "sliding_window_layers", model->layers);
}

void RefuseUnsupported(const Fields& model) {
  TextOf(model, "architecture",
         {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM", "SmolLM3ForCausalLM",
          "Phi3ForCausalLM"});
  TextOf(model, "dtype", {"float32", "float16", "bfloat16"});
  TextOf(model, "hidden_act", {model.Text("architecture") == "Phi3ForCausalLM" ? "swiglu" : "silu"});
  TextOf(model, "position_embedding_type", {"rope_gpt_neox"}, "rope_gpt_neox");
  if (model.Flag("residual_mlp")) Unsupported(model, "residual_mlp", "false");
  if (const auto moe = model.OptionalObject("moe"); moe && moe->Size("num_experts", 1) > 1)
    Unsupported(*moe, "num_experts", "1");
}

void ReadMapping(const Fields& fields, ModelConfig* model) {
  const auto mapping = fields.OptionalObject("mapping");
  if (!mapping) return;
  if (mapping->Size("cp_size", 1) > 1) Unsupported(*mapping, "cp_size", "1");
  model->tp_size = mapping->Size("tp_size", 1);
  model->pp_size = mapping->Size("pp_size", 1);
  model->parallel_embedding = model->tp_size > 1 && fields.Flag("use_parallel_embedding");
  const int tp = model->tp_size;
  const auto check = [&](bool divides, const char* name, const std::string& expected) {
    if (!divides) mapping->Reject(name, expected);
  };
  check(model->heads % tp == 0, "tp_size", "a divisor of num_attention_heads, " + std::to_string(model->heads));
  check(model->kv_heads % tp == 0 || tp % model->kv_heads == 0, "tp_size",
        "a divisor or a multiple of num_key_value_heads, " + std::to_string(model->kv_heads));
  check(model->intermediate_size % tp == 0, "tp_size",
        "a divisor of intermediate_size, " + std::to_string(model->intermediate_size));
  check(model->layers % model->pp_size == 0, "pp_size",
        "a divisor of num_hidden_layers, " + std::to_string(model->layers));
  if (model->ranks() > 1 && model->tied_head)
    Unsupported(fields, "tie_word_embeddings", "false where there are several ranks: each has its part of the head");
}

Quantization ReadQuantization(const Fields& model, const std::vector<QuantAlgo>& supported) {
  constexpr std::pair<const char*, QuantAlgo> kAlgos[] = {
      {"GGML", QuantAlgo::kGgml},
      {"W8A16", QuantAlgo::kW8A16},
      {"W4A16", QuantAlgo::kW4A16},
      {"W4A16_AWQ", QuantAlgo::kW4A16Awq},
      {"W4A16_GPTQ", QuantAlgo::kW4A16Gptq},
      {"FP8", QuantAlgo::kFp8},
      {"FP8_PER_CHANNEL_PER_TOKEN", QuantAlgo::kFp8PerChannelPerToken}};
  Quantization quantization;
  const auto fields = model.OptionalObject("quantization");
  if (!fields) return quantization;
  // It asks TensorRT-LLM for a KV cache of fewer bits; here keys and values keep theirs.
  if (fields->Has("kv_cache_quant_algo")) TextOf(*fields, "kv_cache_quant_algo", {"FP8", "INT8"});
  if (!fields->Has("quant_algo")) return quantization;
  const std::string found = fields->Text("quant_algo");
  std::string names = "null";
  for (const auto& [name, algo] : kAlgos) {
    if (std::find(supported.begin(), supported.end(), algo) == supported.end()) continue;
    names += std::string(" or ") + name;
    if (found == name) quantization.algo = algo;
  }
  if (quantization.algo == QuantAlgo::kNone) Unsupported(*fields, "quant_algo", names);
  quantization.group_size = fields->Size("group_size", quantization.group_size);
  quantization.has_zero_point = fields->Flag("has_zero_point");
  quantization.pre_quant_scale = fields->Flag("pre_quant_scale");
  if (quantization.group_size % 32 != 0) Unsupported(*fields, "group_size", "a multiple of 32");
  return quantization;
}

ModelConfig ReadModel(const Fields& fields, const std::vector<QuantAlgo>& quant_algos) {
  RefuseUnsupported(fields);
  ModelConfig model;
  model.dtype = fields.Text("dtype");
  model.quantization = ReadQuantization(fields, quant_algos);
  model.hidden_size = fields.Size("hidden_size");
  model.layers = fields.Size("num_hidden_layers");
  if (model.layers > kMostLayers) fields.Reject("num_hidden_layers", "at most " + std::to_string(kMostLayers));
  model.heads = fields.Size("num_attention_heads");
  model.kv_heads = fields.Size("num_key_value_heads", model.heads);
  model.head_dim = fields.Size("head_size", std::max(model.hidden_size / model.heads, 1));
  model.intermediate_size = fields.Size("intermediate_size");
  model.vocab_size = fields.Size("vocab_size");
  model.norm_epsilon = static_cast<float>(fields.Positive("norm_epsilon", 1e-5));
  model.rotary_base = fields.Positive("rotary_base", 10000.0);
  const int max_positions = fields.Size("max_position_embeddings");
  model.rope_scaling = ReadRopeScaling(fields, max_positions);
  model.max_positions = ScaledPositions(max_positions, model.rope_scaling);
  ReadLayers(fields, &model);
  model.tied_head = fields.Flag("tie_word_embeddings") || fields.Flag("share_embedding_table");
  if (model.heads % model.kv_heads != 0)
    fields.Reject("num_key_value_heads", "a divisor of num_attention_heads, " + std::to_string(model.heads));
  if (model.head_dim % 2 != 0) fields.Reject("head_size", std::to_string(model.head_dim), "an even number");
  model.head_rows = model.vocab_size;
  ReadMapping(fields, &model);
  const int64_t largest_width = int64_t{model.heads + 2 * int64_t{model.kv_heads}} * model.head_dim;
  if (largest_width > json::kLargestSize)
    fields.Reject("head_size", std::to_string(model.head_dim), "a number small enough for its number of heads");
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
    fields->Reject("max_seq_len", "at most " + std::to_string(model.max_positions) +
                                      ", the model's max_position_embeddings with its rotary_scaling");
  return build;
}

}  // namespace

EngineConfig ReadEngineConfig(const std::string& engine_dir, const std::vector<QuantAlgo>& quant_algos) {
  const Fields config = json::ReadConfigFile(engine_dir + "/config.json", {kMissing, kConvertAgain});
  const auto pretrained = config.OptionalObject("pretrained_config");
  const ModelConfig model = ReadModel(pretrained ? *pretrained : config, quant_algos);
  return {model, ReadBuild(config.OptionalObject("build_config"), model)};
}

}  // namespace embedded
