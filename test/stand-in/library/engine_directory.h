// What the stand-in reads of an engine's config.json.
#ifndef STAND_IN_ENGINE_DIRECTORY_H_
#define STAND_IN_ENGINE_DIRECTORY_H_

#include <filesystem>

#include "script.h"
#include "tensorrt_llm/executor/types.h"

namespace stand_in {

using tensorrt_llm::executor::SizeType32;

struct EngineDirectory {
  std::filesystem::path path;
  SizeType32 vocab_size;
  SizeType32 ranks;  // tp_size * pp_size * cp_size
  SizeType32 max_batch_size;
  SizeType32 max_beam_width;
  SizeType32 max_num_tokens;
  SizeType32 max_seq_len;
  bool gather_context_logits;
  bool gather_generation_logits;
};

// Throws TllmException, as NVIDIA's library does, where config.json or a rank's engine is missing or damaged.
EngineDirectory ReadEngineDirectory(const std::filesystem::path& path);

// Reads rankN.engine, whose content does not matter, in pieces over the script's load_ms. Throws where it is missing.
void ReadRankEngine(const EngineDirectory& directory, SizeType32 rank, const Script& script);

}  // namespace stand_in

#endif  // STAND_IN_ENGINE_DIRECTORY_H_
