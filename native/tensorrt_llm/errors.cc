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
    "The GPU's context is lost: end this process and start it again, or load with isolation: 'process'";

constexpr char kOtherTensorRt[] =
    "Another TensorRT built the engine: build it again with the TensorRT-LLM that is loaded here";
constexpr char kOtherPlugins[] =
    "The engine has plugins that are not in the TensorRT-LLM loaded here: build it again with this one, or install "
    "TensorRT-LLM as a whole";
constexpr char kAdapter[] =
    "Convert the adapter for this engine: of its type, for modules of its --lora_target_modules, of a rank up to its "
    "--max_lora_rank";
constexpr char kExtraIds[] =
    "Give multimodal.token_extra_ids, one for each token of the prompt, or load the engine without "
    "kvCache.blockReuse";
constexpr char kStartRanks[] = "Start one process for each rank: mpirun -n RANKS, or leave parallel.mode out";

// The first that the message contains holds. Those of CUDA come first: after one of them every request fails.
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
     "Start this process again: with NCCL_DEBUG=INFO it tells why, NCCL_P2P_DISABLE=1 helps where GPUs do not reach "
     "each other, and a container needs --ipc=host or --shm-size=1g"},
    {"MPI error", EXECUTOR_FAILED,
     "What Open MPI wrote to standard error says why. Start this process again, or load with isolation: 'process'"},
    {"exceeds maximum input length", EXECUTOR_PROMPT_TOO_LONG,
     "Shorten it, or build the engine for more: with chunked context its --max_seq_len is the limit, else "
     "--max_num_tokens"},
    {"gather_context_logits", EXECUTOR_UNSUPPORTED, "Build the engine with --gather_context_logits"},
    {"gather_generation_logits", EXECUTOR_UNSUPPORTED, "Load the engine with gatherGenerationLogits"},
    {"gatherGenerationLogits", EXECUTOR_UNSUPPORTED, "Load the engine with gatherGenerationLogits"},
    {"GuidedDecoder is not setup", EXECUTOR_UNSUPPORTED, "Load the engine with guidedDecoding", "guided"},
    {"with beam search", EXECUTOR_INVALID_OPTION, "Leave beamWidth out", "beam_width"},
    {"Shutdown called", EXECUTOR_CLOSED, "Load the engine again"},
    {"Request is too large", EXECUTOR_INVALID_INPUT, "Send less with one request"},
    {"not found in cache", EXECUTOR_INVALID_INPUT,
     "Send lora.weights and lora.config with the request that first names the adapter, and again where others have "
     "taken its place",
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
    {"prompt embedding table", EXECUTOR_INVALID_INPUT, "Give multimodal.prompt_table as [rows, hidden size]"},
    {"Incorrect sampling config", EXECUTOR_INVALID_OPTION,
     "What TensorRT-LLM has printed names the option; set it within its range"},
    {"Request sequence length", EXECUTOR_INVALID_OPTION,
     "Ask for fewer maxTokens, or load the engine with chunkedContext, or with scheduler.capacityPolicy left out"},
    // While an engine is loaded:
    {"incompatible device", EXECUTOR_ENGINE_WEIGHTS, "Build the engine again on a GPU of this kind"},
    {"Version tag does not match", EXECUTOR_ENGINE_WEIGHTS, kOtherTensorRt},
    {"not compatible with this version of TensorRT", EXECUTOR_ENGINE_WEIGHTS, kOtherTensorRt},
    {"could not find plugin", EXECUTOR_UNAVAILABLE, kOtherPlugins},
    {"not found in Plugin Registry", EXECUTOR_UNAVAILABLE, kOtherPlugins},
    {"Failed to deserialize cuda engine", EXECUTOR_ENGINE_WEIGHTS,
     "What TensorRT has printed tells why: another kind of GPU, another TensorRT, or a damaged file. Build the engine "
     "again on this machine"},
    {"driver version is insufficient", EXECUTOR_UNAVAILABLE,
     "Update NVIDIA's driver; nvidia-smi tells the CUDA version it has"},
    {"no CUDA-capable device", EXECUTOR_UNAVAILABLE,
     "nvidia-smi must show a GPU, and CUDA_VISIBLE_DEVICES must not hide it"},
    {"no kernel image is available", EXECUTOR_UNAVAILABLE,
     "This TensorRT-LLM has no code for this GPU: 0.14 is the last for Turing, 0.17 the first for Blackwell"},
    {"invalid device ordinal", EXECUTOR_ENGINE_RANKS,
     "Each rank needs a GPU of its own: name them by parallel.deviceIds"},
    {"worldSize is expected to be equal to tp", EXECUTOR_ENGINE_RANKS, kStartRanks},
    {"!= TP size", EXECUTOR_ENGINE_RANKS, kStartRanks},
    {"Error opening engine file", EXECUTOR_ENGINE_RANKS, "Copy the whole engine directory to where each rank runs"},
    {"File does not exist", EXECUTOR_ENGINE_NOT_FOUND, "Copy the whole engine directory to where each rank runs"},
    {"json.exception", EXECUTOR_ENGINE_CONFIG, "Build the engine again with the TensorRT-LLM that is loaded here"},
    {"Model data type", EXECUTOR_MODEL_UNSUPPORTED, "Build the engine of a float16, bfloat16 or float32 checkpoint"},
    {"do not support bfloat16", EXECUTOR_MODEL_UNSUPPORTED, "Build the engine of a float16 checkpoint"},
    {"Unsupported architecture", EXECUTOR_MODEL_UNSUPPORTED,
     "Build the engine with --context_fmha disable, or use a later GPU"},
    {"Failed to allocate memory for weights", EXECUTOR_OUT_OF_MEMORY,
     "Free GPU memory, or load with a smaller gpuWeightsFraction", "gpu_weights_fraction"},
    {"Failed to create an execution context", EXECUTOR_OUT_OF_MEMORY,
     "Free GPU memory, or build the engine with a smaller --max_num_tokens or --max_batch_size"},
    {"Requested amount of GPU memory", EXECUTOR_OUT_OF_MEMORY, "Free GPU memory, or build the engine for more ranks"},
    {"out of memory", EXECUTOR_OUT_OF_MEMORY, "Free GPU memory, or load with a smaller KV cache or batch"},
    {"OutOfMemory", EXECUTOR_OUT_OF_MEMORY, "Free GPU memory, or load with a smaller KV cache or batch"},
};

// Takes off what ends with `marker`.
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
  const std::string message = "TensorRT-LLM: " + MessageOf(text);
  for (const Wording& wording : kWordings)
    if (text.find(wording.part) != std::string_view::npos)
      return executor::Failure(wording.code, message + ". " + wording.fix, request_id).About(wording.field);
  return executor::Failure(otherwise, message, request_id);
}

}  // namespace adapter
