// From the contract's ExecutorRequest to TensorRT-LLM's Request.
#ifndef ADAPTER_REQUEST_H_
#define ADAPTER_REQUEST_H_

#include <string>
#include <unordered_map>

#include "native/executor/request.h"
#include "native/tensorrt_llm/engine.h"
#include "native/tensorrt_llm/features.h"
#include "native/tensorrt_llm/pending.h"

namespace adapter {

// Limits of requests, besides those of the engine.
struct RequestLimits {
  int max_seq_len;
  int max_input_len;
  uint32_t max_num_sequences;  // that run at once
  uint32_t max_beam_width;
  bool generation_logits;                                    // gathered
  std::unordered_map<std::string, bool> additional_outputs;  // by name, whether for the prompt too
  bool guided_decoding;                                      // the executor was given a backend and the vocabulary
  bool kv_events = false;                                    // are collected
};

struct MadeRequest {
  tle::Request request;
  Pending pending;
};

// Copies and checks a caller's request. Throws executor::Failure with its id: EXECUTOR_EMPTY_PROMPT,
// EXECUTOR_PROMPT_TOO_LONG, EXECUTOR_INVALID_INPUT, EXECUTOR_INVALID_OPTION, or EXECUTOR_UNSUPPORTED for what this version
// or engine lacks, naming the field.
MadeRequest MakeRequest(const ExecutorRequest& given, const Engine& engine, const RequestLimits& limits);

// CAN_* of this version with such an engine.
uint64_t Capabilities(const Engine& engine, const RequestLimits& limits);

}  // namespace adapter

#endif  // ADAPTER_REQUEST_H_
