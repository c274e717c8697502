// config.json of a TensorRT-LLM engine directory, and the checks of the directory that need no GPU.
#ifndef ADAPTER_ENGINE_H_
#define ADAPTER_ENGINE_H_

#include <cstdint>
#include <string>

namespace adapter {

struct Engine {
  std::string dir;
  std::string version;  // of the TensorRT-LLM that built it
  std::string dtype;
  std::string quant_algo;  // empty: not quantized
  int gpus_per_node;       // of the machines it was built for
  uint64_t largest_rank_bytes;
  int vocab_size;
  int tensor_parallel_size;
  int pipeline_parallel_size;
  int context_parallel_size;
  int max_batch_size;
  int max_num_tokens;  // in one step
  int max_seq_len;     // prompt and output tokens
  int max_beam_width;
  int tokens_per_block;
  bool gather_context_logits;
  bool gather_generation_logits;
  bool paged_context_fmha;  // what chunked context and block reuse need
  bool runs_adapters;       // other engines accept LoRA adapters, but ignore them

  int world_size() const { return tensor_parallel_size * pipeline_parallel_size * context_parallel_size; }
  // Columns of logits: the head's rows are filled up so that they split evenly between the ranks.
  int padded_vocab_size() const {
    return (vocab_size + tensor_parallel_size - 1) / tensor_parallel_size * tensor_parallel_size;
  }
};

// Throws executor::Failure with EXECUTOR_ENGINE_NOT_FOUND, EXECUTOR_ENGINE_CONFIG, EXECUTOR_MODEL_UNSUPPORTED for what is no
// decoder, EXECUTOR_ENGINE_RANKS if a rankN.engine is missing, or EXECUTOR_ENGINE_WEIGHTS if one is empty.
Engine ReadEngine(const std::string& dir);

// Throws EXECUTOR_ENGINE_CONFIG: an engine runs only on the version of TensorRT-LLM that built it.
void CheckEngineVersion(const Engine& engine, const std::string& library_version);

}  // namespace adapter

#endif  // ADAPTER_ENGINE_H_
