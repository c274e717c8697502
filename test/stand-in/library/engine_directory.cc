#include "engine_directory.h"

#include <simdjson.h>

#include <chrono>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "process_control.h"

namespace stand_in {
namespace {

using simdjson::dom::element;

// The number at a JSON pointer.
SizeType32 Number(const element& config, const char* pointer, std::optional<SizeType32> otherwise = std::nullopt) {
  int64_t value;
  if (config.at_pointer(pointer).get(value) == simdjson::SUCCESS) return static_cast<SizeType32>(value);
  if (!otherwise) Throw(std::string("[json.exception.out_of_range.403] key '") + pointer + "' not found");
  return *otherwise;
}

bool Flag(const element& config, const char* pointer) {
  bool value = false;
  return config.at_pointer(pointer).get(value) == simdjson::SUCCESS && value;
}

}  // namespace

EngineDirectory ReadEngineDirectory(const std::filesystem::path& path) {
  const std::string file = path / "config.json";
  Check(std::filesystem::exists(file), "File does not exist: " + file);
  simdjson::dom::parser parser;
  element config;
  if (const auto error = parser.load(file).get(config))
    Throw(std::string("[json.exception.parse_error.101] parse error: ") + simdjson::error_message(error));

  EngineDirectory engine{};
  engine.path = path;
  engine.vocab_size = Number(config, "/pretrained_config/vocab_size");
  engine.ranks = Number(config, "/pretrained_config/mapping/tp_size", 1) *
                 Number(config, "/pretrained_config/mapping/pp_size", 1) *
                 Number(config, "/pretrained_config/mapping/cp_size", 1);
  engine.max_batch_size = Number(config, "/build_config/max_batch_size");
  engine.max_beam_width = Number(config, "/build_config/max_beam_width", 1);
  engine.max_num_tokens = Number(config, "/build_config/max_num_tokens");
  engine.max_seq_len = Number(config, "/build_config/max_seq_len",
                              Number(config, "/pretrained_config/max_position_embeddings", 1 << 20));
  engine.gather_context_logits = Flag(config, "/build_config/gather_context_logits");
  engine.gather_generation_logits = Flag(config, "/build_config/gather_generation_logits");
  return engine;
}

void ReadRankEngine(const EngineDirectory& directory, SizeType32 rank, const Script& script) {
  constexpr uint64_t kPieces = 20;
  const std::string path = directory.path / ("rank" + std::to_string(rank) + ".engine");
  std::ifstream file(path, std::ios::binary);
  Check(file.is_open(), "Error opening engine file: " + path);
  std::vector<char> piece(std::filesystem::file_size(path) / kPieces + 1);
  for (uint64_t i = 0; i < kPieces; ++i) {
    file.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    std::this_thread::sleep_for(std::chrono::milliseconds(script.load_ms) / kPieces);
  }
  EndWorker(script, 0);
}

}  // namespace stand_in
