#include "tensorrt_llm/errors.h"

namespace adapter {
namespace {

struct Wording {
  const char* part;
  ExecutorCode code;
  const char* mend;
};

constexpr char kRestart[] =
    "The GPU's context is lost: end this process and start it again, or load with isolation: 'process'";

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
    {"NCCL error", EXECUTOR_FAILED, kRestart},
    {"MPI error", EXECUTOR_FAILED, kRestart},
    {"Maximum queue size", EXECUTOR_QUEUE_FULL, "Try again later, or load with a larger maxQueueSize"},
    {"exceeds maximum input length", EXECUTOR_PROMPT_TOO_LONG,
     "Shorten it, or build the engine for more: with chunked context max_seq_len is the limit, else max_num_tokens"},
    {"gather_context_logits", EXECUTOR_UNSUPPORTED, "Build the engine with --gather_context_logits"},
    {"gather_generation_logits", EXECUTOR_UNSUPPORTED, "Load the engine with gather_generation_logits"},
    {"gatherGenerationLogits", EXECUTOR_UNSUPPORTED, "Load the engine with gather_generation_logits"},
    {"uided decoding", EXECUTOR_UNSUPPORTED, "Load the engine with guided decoding configured"},
    {"Shutdown called", EXECUTOR_CLOSED, "Load the engine again"},
    {"Request is too large", EXECUTOR_INVALID_INPUT, "Send less with one request"},
    {"LoRA task", EXECUTOR_INVALID_INPUT, "Send the adapter's weights with the request that first names it"},
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
      return executor::Failure(wording.code, message + ". " + wording.mend, request_id);
  return executor::Failure(otherwise, message, request_id);
}

}  // namespace adapter
