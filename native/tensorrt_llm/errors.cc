#include "native/tensorrt_llm/errors.h"

namespace adapter {
namespace {

struct Wording {
  const char* part;
  ExecutorCode code;
  const char* fix;
  const char* field = "";  // the option it is about
};

constexpr char kRestart[] =
    "The GPU is lost to this process: start a new one, or load with isolation: 'process', which does so by itself";

constexpr char kOtherTensorRt[] = "Another version of TensorRT built the engine: build it again with this TensorRT-LLM";
constexpr char kOtherPlugins[] =
    "The engine has plugins that this TensorRT-LLM does not have: build it again with this one, or install the "
    "complete "
    "TensorRT-LLM";
constexpr char kAdapter[] =
    "Convert the adapter for this engine: in its data type, for its --lora_target_modules, with at most its "
    "--max_lora_rank";
constexpr char kExtraIds[] =
    "Set multimodal.tokenExtraIds, one for each token of the prompt, or load the engine without kvCache.blockReuse";
constexpr char kStartRanks[] = "Start one process for each rank with mpirun -n RANKS, or remove parallel.mode";

// The first that the message contains decides. Those of CUDA come first, because after them every request fails.
constexpr Wording kWordings[] = {
    {"illegal memory access", EXECUTOR_FAILED, kRestart},
    {"misaligned address", EXECUTOR_FAILED, kRestart},
    {"illegal instruction", EXECUTOR_FAILED, kRestart},
    {"unspecified launch failure", EXECUTOR_FAILED, kRestart},
    {"launch timed out", EXECUTOR_FAILED, kRestart},
    {"device-side assert", EXECUTOR_FAILED, kRestart},
    {"hardware stack error", EXECUTOR_FAILED, kRestart},
    {"uncorrectable", EXECUTOR_FAILED, kRestart},
    {"NCCL error", EXECUTOR_FAILED,
     "Start this process again, with NCCL_DEBUG=INFO to see the cause. NCCL_P2P_DISABLE=1 helps if the GPUs cannot "
     "reach "
     "each other; a container needs --ipc=host or --shm-size=1g"},
    {"MPI error", EXECUTOR_FAILED,
     "Read what Open MPI wrote to standard error. Start this process again, or load with isolation: 'process'"},
    {"exceeds maximum input length", EXECUTOR_PROMPT_TOO_LONG,
     "Shorten it, or build the engine for more: the limit is its --max_seq_len with chunkedContext, else its "
     "--max_num_tokens"},
    {"gather_context_logits", EXECUTOR_UNSUPPORTED, "Build the engine with --gather_context_logits"},
    {"gather_generation_logits", EXECUTOR_UNSUPPORTED, "Load the engine with gatherGenerationLogits"},
    {"gatherGenerationLogits", EXECUTOR_UNSUPPORTED, "Load the engine with gatherGenerationLogits"},
    {"GuidedDecoder is not setup", EXECUTOR_UNSUPPORTED, "Load the engine with guidedDecoding", "guided"},
    {"with beam search", EXECUTOR_INVALID_OPTION, "Remove beamWidth", "beam_width"},
    {"Shutdown called", EXECUTOR_CLOSED, "Load the engine again with LLM.load()"},
    {"Request is too large", EXECUTOR_INVALID_INPUT, "Send a smaller request"},
    {"not found in cache", EXECUTOR_INVALID_INPUT,
     "Send lora.weights and lora.config with the first request of an adapter, and again after other adapters have "
     "replaced it",
     "lora"},
    {"Cache is full", EXECUTOR_OUT_OF_MEMORY, "Run fewer adapters at once, or load the engine with a larger peftCache"},
    {"lora weights", EXECUTOR_INVALID_INPUT, kAdapter, "lora"},
    {"lora_weights", EXECUTOR_INVALID_INPUT, kAdapter, "lora"},
    {"lora keys", EXECUTOR_INVALID_INPUT, kAdapter, "lora"},
    {"lora_keys", EXECUTOR_INVALID_INPUT, kAdapter, "lora"},
    {"lora module", EXECUTOR_INVALID_INPUT, kAdapter, "lora"},
    {"each lora request", EXECUTOR_INVALID_INPUT, kAdapter, "lora"},
    {"Expected layerId", EXECUTOR_INVALID_INPUT, kAdapter, "lora"},
    {"Expected adapterSize", EXECUTOR_INVALID_INPUT, kAdapter, "lora"},
    {"Invalid low_rank", EXECUTOR_INVALID_INPUT, kAdapter, "lora"},
    {"Draft tokens length", EXECUTOR_INVALID_OPTION,
     "Send fewer drafted tokens, or build the engine with --speculative_decoding_mode draft_tokens_external and a "
     "larger --max_draft_len",
     "draft"},
    {"Embedding bias", EXECUTOR_UNSUPPORTED, "Build the engine with --logits_dtype float32", "logit_bias"},
    {"Input token extra ids", EXECUTOR_INVALID_INPUT, kExtraIds},
    {"inputTokenExtraIds", EXECUTOR_INVALID_INPUT, kExtraIds},
    {"prompt embedding table", EXECUTOR_INVALID_INPUT, "Set multimodal.promptTable with the shape [rows, hidden size]"},
    {"Incorrect sampling config", EXECUTOR_INVALID_OPTION,
     "TensorRT-LLM has printed the name of the option; set it within its range"},
    {"Request sequence length", EXECUTOR_INVALID_OPTION,
     "Lower maxTokens, or load the engine with chunkedContext, or without scheduler.capacityPolicy"},
    // While an engine is loaded:
    {"incompatible device", EXECUTOR_ENGINE_WEIGHTS, "Build the engine again on a GPU of this kind"},
    {"Version tag does not match", EXECUTOR_ENGINE_WEIGHTS, kOtherTensorRt},
    {"not compatible with this version of TensorRT", EXECUTOR_ENGINE_WEIGHTS, kOtherTensorRt},
    {"could not find plugin", EXECUTOR_UNAVAILABLE, kOtherPlugins},
    {"not found in Plugin Registry", EXECUTOR_UNAVAILABLE, kOtherPlugins},
    {"Failed to deserialize cuda engine", EXECUTOR_ENGINE_WEIGHTS,
     "Read what TensorRT has printed: the cause may be another kind of GPU, another TensorRT, or a damaged file. Build "
     "the engine again on this machine"},
    {"driver version is insufficient", EXECUTOR_UNAVAILABLE,
     "Update NVIDIA's driver; nvidia-smi shows its CUDA version"},
    {"no CUDA-capable device", EXECUTOR_UNAVAILABLE,
     "Check that nvidia-smi shows a GPU, and that CUDA_VISIBLE_DEVICES does not hide it"},
    {"no kernel image is available", EXECUTOR_UNAVAILABLE,
     "Install a TensorRT-LLM for this GPU: 0.14 is the last for Turing, 0.17 the first for Blackwell"},
    {"invalid device ordinal", EXECUTOR_ENGINE_RANKS, "Give each rank a GPU of its own with parallel.deviceIds"},
    {"worldSize is expected to be equal to tp", EXECUTOR_ENGINE_RANKS, kStartRanks},
    {"!= TP size", EXECUTOR_ENGINE_RANKS, kStartRanks},
    {"Error opening engine file", EXECUTOR_ENGINE_RANKS,
     "Copy the whole engine directory to each machine that runs a rank"},
    {"File does not exist", EXECUTOR_ENGINE_NOT_FOUND,
     "Copy the whole engine directory to each machine that runs a rank"},
    {"json.exception", EXECUTOR_ENGINE_CONFIG, "Build the engine again with this TensorRT-LLM"},
    {"Model data type", EXECUTOR_MODEL_UNSUPPORTED, "Build the engine from a float16, bfloat16 or float32 checkpoint"},
    {"do not support bfloat16", EXECUTOR_MODEL_UNSUPPORTED, "Build the engine from a float16 checkpoint"},
    {"Unsupported architecture", EXECUTOR_MODEL_UNSUPPORTED,
     "Build the engine with --context_fmha disable, or use a newer GPU"},
    {"Failed to allocate memory for weights", EXECUTOR_OUT_OF_MEMORY,
     "Free GPU memory, or load with a smaller gpuWeightsFraction", "gpu_weights_fraction"},
    {"Failed to create an execution context", EXECUTOR_OUT_OF_MEMORY,
     "Free GPU memory, or build the engine with a smaller --max_num_tokens or --max_batch_size"},
    {"Requested amount of GPU memory", EXECUTOR_OUT_OF_MEMORY, "Free GPU memory, or build the engine for more ranks"},
    {"out of memory", EXECUTOR_OUT_OF_MEMORY, "Free GPU memory, or load with a smaller KV cache or batch"},
    {"OutOfMemory", EXECUTOR_OUT_OF_MEMORY, "Free GPU memory, or load with a smaller KV cache or batch"},
};

// Removes everything up to the last `marker`, which it includes.
void DropThrough(std::string_view marker, std::string_view* text) {
  const size_t found = text->rfind(marker);
  if (found != std::string_view::npos) text->remove_prefix(found + marker.size());
}

}  // namespace

std::string MessageOf(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  DropThrough("[TensorRT-LLM][ERROR] ", &text);
  DropThrough("Encountered an error when fetching new request: ", &text);
  DropThrough("Assertion failed: ", &text);
  // " (/path/to/file.cpp:123)"
  const size_t place = text.rfind(" (/");
  if (place != std::string_view::npos && text.back() == ')' && text.find(':', place) != std::string_view::npos)
    text = text.substr(0, place);
  return std::string(text);
}

executor::Failure FailureOf(std::string_view text, ExecutorCode otherwise, std::optional<uint64_t> request_id) {
  std::string message = "TensorRT-LLM: " + MessageOf(text);
  if (message.back() != '.') message += '.';
  for (const Wording& wording : kWordings)
    if (text.find(wording.part) != std::string_view::npos)
      return executor::Failure(wording.code, message + " " + wording.fix + ".", request_id).About(wording.field);
  return executor::Failure(otherwise, message, request_id);
}

}  // namespace adapter
