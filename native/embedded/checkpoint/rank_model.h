// What one rank of an engine has of its model: the same rules as lib/engine/convert/shard.ts, which are TensorRT-LLM's.
#ifndef EMBEDDED_RANK_MODEL_H_
#define EMBEDDED_RANK_MODEL_H_

#include "native/embedded/checkpoint/config.h"

namespace embedded {

// The model as rank stage * tp_size + `tp_rank` sees it: its heads, its part of the intermediate size and the layers of
// its stage, counted from 0. Sizes that no rank has a part of are the whole model's.
ModelConfig RankModel(const ModelConfig& model, int rank);

}  // namespace embedded

#endif  // EMBEDDED_RANK_MODEL_H_
