#include "native/embedded/checkpoint/rank_model.h"

#include <algorithm>

namespace embedded {
namespace {

std::vector<bool> LayersOf(const std::vector<bool>& all, int first, int count) {
  return all.empty() ? all : std::vector<bool>(all.begin() + first, all.begin() + first + count);
}

}  // namespace

ModelConfig RankModel(const ModelConfig& model, int rank) {
  ModelConfig part = model;
  const int stage = rank / model.tp_size;
  part.heads = model.heads / model.tp_size;
  part.kv_heads = std::max(1, model.kv_heads / model.tp_size);
  part.intermediate_size = model.intermediate_size / model.tp_size;
  part.head_rows = (model.vocab_size + model.tp_size - 1) / model.tp_size;
  if (model.parallel_embedding) part.embedding_first = rank % model.tp_size * part.head_rows;
  part.layers = model.layers / model.pp_size;
  part.rope_layers = LayersOf(model.rope_layers, stage * part.layers, part.layers);
  part.sliding_layers = LayersOf(model.sliding_layers, stage * part.layers, part.layers);
  part.is_first_stage = stage == 0;
  part.is_last_stage = stage == model.pp_size - 1;
  return part;
}

}  // namespace embedded
