#include "native/tensorrt_llm/engine.h"

#include <simdjson.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string_view>

#include "native/executor/cpp/failure.h"

namespace adapter {
namespace {

using executor::Failure;
using simdjson::dom::element;
using simdjson::dom::object;

constexpr int kLargestSize = 1 << 27;
constexpr int kMostRanks = 1024;
constexpr int kDefaultGpusPerNode = 8;  // TensorRT-LLM's

constexpr char kBuildAgain[] = ". Build the engine again: trtllm-build --checkpoint_dir CHECKPOINT --output_dir DIR";

// One object of config.json. Its getters fail with the field's whole name. A null is a field that is not there.
class Fields {
 public:
  Fields(std::string path, std::string prefix, object fields)
      : path_(std::move(path)), prefix_(std::move(prefix)), fields_(fields) {}

  int Size(const char* name, std::optional<int> fallback = std::nullopt, int largest = kLargestSize) const {
    const auto value = Find(name);
    if (!value && fallback) return *fallback;
    int64_t size;
    if (!value || value->get_int64().get(size) || size < 1 || size > largest)
      Reject(name, value, "a whole number from 1 to " + std::to_string(largest));
    return static_cast<int>(size);
  }
  std::string Text(const char* name, std::optional<std::string> fallback = std::nullopt) const {
    const auto value = Find(name);
    if (!value && fallback) return *fallback;
    std::string_view text;
    if (!value || value->get_string().get(text)) Reject(name, value, "a string");
    return std::string(text);
  }
  bool Flag(const char* name) const {
    const auto value = Find(name);
    bool flag = false;
    if (value && value->get_bool().get(flag)) Reject(name, value, "true or false");
    return flag;
  }
  bool Has(const char* name) const { return Find(name).has_value(); }
  bool HasItems(const char* name) const {
    const auto value = Find(name);
    simdjson::dom::array items;
    if (value && value->get_array().get(items)) Reject(name, value, "a list");
    return value && items.size() > 0;
  }
  Fields Object(const char* name) const {
    const auto value = Find(name);
    object fields;
    if (!value || value->get_object().get(fields)) Reject(name, value, "an object");
    return Fields(path_, prefix_ + name + ".", fields);
  }

 private:
  std::optional<element> Find(const char* name) const {
    element value;
    if (fields_[name].get(value) || value.is_null()) return std::nullopt;
    return value;
  }
  [[noreturn]] void Reject(const char* name, const std::optional<element>& found, const std::string& expected) const {
    std::string text = found ? simdjson::minify(*found) : "missing";
    if (text.size() > 100) text = text.substr(0, 100) + "...";
    throw Failure(EXECUTOR_ENGINE_CONFIG,
                  path_ + ": " + prefix_ + name + " is " + text + "; expected " + expected + kBuildAgain);
  }

  std::string path_;
  std::string prefix_;
  object fields_;
};

// By TensorRT-LLM's names: those that give no text, and the halves of a model that this executor would need together.
constexpr const char* kNoDecoders[] = {"Bert",         "Roberta",      "DiT",   "SD3Transformer",
                                       "EncoderModel", "DecoderModel", "STDiT", "WhisperEncoder"};

void CheckArchitecture(const std::string& path, const std::string& architecture) {
  for (const char* const start : kNoDecoders)
    if (architecture.rfind(start, 0) == 0)
      throw Failure(EXECUTOR_MODEL_UNSUPPORTED, path + ": pretrained_config.architecture is " + architecture +
                                                    "; expected a decoder-only model, such as LlamaForCausalLM. "
                                                    "Load the engine of such a model.");
}

void ReadRanks(const Fields& mapping, Engine* engine) {
  engine->tensor_parallel_size = mapping.Size("tp_size", 1, kMostRanks);
  engine->pipeline_parallel_size = mapping.Size("pp_size", 1, kMostRanks / engine->tensor_parallel_size);
  engine->context_parallel_size =
      mapping.Size("cp_size", 1, kMostRanks / engine->tensor_parallel_size / engine->pipeline_parallel_size);
}

void CheckRanks(Engine* engine) {
  std::string missing;
  std::string empty;
  for (int rank = 0; rank < engine->world_size(); ++rank) {
    const std::string name = "rank" + std::to_string(rank) + ".engine";
    std::error_code error;
    const uint64_t bytes = std::filesystem::file_size(std::filesystem::path(engine->dir) / name, error);
    if (error) {
      missing += (missing.empty() ? "" : ", ") + name;
      continue;
    }
    if (bytes == 0) empty += (empty.empty() ? "" : ", ") + name;
    engine->largest_rank_bytes = std::max(engine->largest_rank_bytes, bytes);
  }
  if (!missing.empty())
    throw Failure(EXECUTOR_ENGINE_RANKS,
                  engine->dir + " has no " + missing + "; expected " + std::to_string(engine->world_size()) +
                      " ranks, as config.json says (tensor parallel " + std::to_string(engine->tensor_parallel_size) +
                      ", pipeline parallel " + std::to_string(engine->pipeline_parallel_size) + ", context parallel " +
                      std::to_string(engine->context_parallel_size) +
                      "). Copy the missing files into it, or build the engine again with trtllm-build.");
  if (!empty.empty())
    throw Failure(EXECUTOR_ENGINE_WEIGHTS, engine->dir + ": " + empty +
                                               " has 0 bytes; expected a TensorRT engine. "
                                               "Copy it again" +
                                               std::string(kBuildAgain));
}

}  // namespace

Engine ReadEngine(const std::string& dir) {
  const std::string path = dir + "/config.json";
  std::error_code no_file;
  if (!std::filesystem::exists(path, no_file))
    throw Failure(EXECUTOR_ENGINE_NOT_FOUND,
                  path + " does not exist; expected a directory written by trtllm-build" + kBuildAgain);
  simdjson::dom::parser parser;
  element root;
  if (const auto error = parser.load(path).get(root))
    throw Failure(EXECUTOR_ENGINE_CONFIG,
                  path + " is not valid JSON: " + std::string(simdjson::error_message(error)) + kBuildAgain);
  object fields;
  if (root.get_object().get(fields))
    throw Failure(EXECUTOR_ENGINE_CONFIG, path + " is not a JSON object" + std::string(kBuildAgain));

  const Fields config(path, "", fields);
  const Fields model = config.Object("pretrained_config");
  const Fields mapping = model.Object("mapping");
  Engine engine{};
  engine.dir = dir;
  engine.version = config.Text("version");
  engine.dtype = model.Text("dtype");
  if (model.Has("quantization")) engine.quant_algo = model.Object("quantization").Text("quant_algo", "");
  engine.vocab_size = model.Size("vocab_size");
  CheckArchitecture(path, model.Text("architecture", ""));
  ReadRanks(mapping, &engine);
  engine.gpus_per_node = mapping.Size("gpus_per_node", kDefaultGpusPerNode);
  CheckRanks(&engine);

  const Fields build = config.Object("build_config");
  const Fields plugins = build.Object("plugin_config");
  engine.max_batch_size = build.Size("max_batch_size");
  engine.max_num_tokens = build.Size("max_num_tokens");
  engine.max_seq_len = build.Size("max_seq_len");
  engine.max_beam_width = build.Size("max_beam_width", 1);
  engine.tokens_per_block = plugins.Size("tokens_per_block");
  engine.gather_context_logits = build.Flag("gather_context_logits");
  engine.gather_generation_logits = build.Flag("gather_generation_logits");
  engine.paged_context_fmha = plugins.Flag("use_paged_context_fmha");
  engine.runs_adapters = plugins.Has("lora_plugin") && build.Has("lora_config") &&
                         build.Object("lora_config").HasItems("lora_target_modules");
  return engine;
}

void CheckEngineVersion(const Engine& engine, const std::string& library_version) {
  if (engine.version == library_version) return;
  throw Failure(EXECUTOR_ENGINE_CONFIG,
                engine.dir + "/config.json: version is " + engine.version + "; expected " + library_version +
                    ", the installed TensorRT-LLM, because an engine runs only on the version "
                    "that built it. Build it again with this version's trtllm-build, or install "
                    "TensorRT-LLM " +
                    engine.version + ".");
}

}  // namespace adapter
