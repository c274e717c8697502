#include "native/tensorrt_llm/engine.h"

#include <algorithm>
#include <filesystem>

#include "native/executor/cpp/failure.h"
#include "native/json/config_file.h"

namespace adapter {
namespace {

using executor::Failure;
using json::Fields;

constexpr int kMostRanks = 1024;
constexpr int kDefaultGpusPerNode = 8;  // TensorRT-LLM's

constexpr char kBuildAgain[] = "Build the engine again: trtllm-build --checkpoint_dir CHECKPOINT --output_dir DIR";

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
                                               "Copy it again. " +
                                               std::string(kBuildAgain));
}

}  // namespace

Engine ReadEngine(const std::string& dir) {
  const std::string path = dir + "/config.json";
  const std::string missing = "does not exist; expected a directory written by trtllm-build. ";
  const Fields config = json::ReadConfigFile(path, {missing + kBuildAgain, kBuildAgain});
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
