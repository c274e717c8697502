#include "native/embedded/cpu/kv_memory.h"

#include <algorithm>

#include "native/embedded/cpu/kernels.h"

namespace embedded::cpu {
namespace {

static_assert(kTokensPerBlock == kPanelWidth);

int ValueStride(const ModelConfig& model) { return (model.head_dim + kPanelWidth - 1) / kPanelWidth * kPanelWidth; }

}  // namespace

KvMemory::KvMemory(const ModelConfig& model, int blocks)
    : layers_(model.layers),
      kv_heads_(model.kv_heads),
      value_stride_(ValueStride(model)),
      key_floats_(static_cast<size_t>(model.head_dim) * kTokensPerBlock),
      head_floats_(key_floats_ + static_cast<size_t>(kTokensPerBlock) * value_stride_),
      memory_(static_cast<size_t>(blocks) * BytesPerBlock(model), PageSize::kDefault) {}

uint64_t KvMemory::BytesPerBlock(const ModelConfig& model) {
  return uint64_t{kTokensPerBlock} * (model.head_dim + ValueStride(model)) * model.kv_heads * model.layers *
         sizeof(float);
}

void KvMemory::CopyLayer(int from_block, int to_block, int layer) const {
  std::copy_n(Keys(from_block, layer, 0), head_floats_ * kv_heads_, Keys(to_block, layer, 0));
}

}  // namespace embedded::cpu
