#include "native/embedded/cpu/kv_memory.h"

#include <algorithm>

namespace embedded::cpu {
namespace {

static_assert(kTokensPerBlock == kPanelWidth);

int ValueStride(const ModelConfig& model) { return (model.head_dim + kPanelWidth - 1) / kPanelWidth * kPanelWidth; }

WeightType TypeOf(const ModelConfig& model) {
  return model.dtype == "float32" ? WeightType::kFloat32 : WeightType::kFloat16;
}

size_t ElementBytes(WeightType type) { return type == WeightType::kFloat32 ? sizeof(float) : sizeof(uint16_t); }

// A key to its column of a panel.
template <typename T>
void WriteColumn(const T* key, int size, T* column) {
  for (int d = 0; d < size; ++d) column[size_t{kTokensPerBlock} * d] = key[d];
}

}  // namespace

KvMemory::KvMemory(const ModelConfig& model, const Kernels& kernels, int blocks)
    : kernels_(kernels),
      type_(TypeOf(model)),
      element_bytes_(ElementBytes(type_)),
      layers_(model.layers),
      kv_heads_(model.kv_heads),
      head_dim_(model.head_dim),
      value_stride_(ValueStride(model)),
      key_elements_(static_cast<size_t>(model.head_dim) * kTokensPerBlock),
      head_elements_(key_elements_ + static_cast<size_t>(kTokensPerBlock) * value_stride_),
      memory_(static_cast<size_t>(blocks) * BytesPerBlock(model), PageSize::kDefault) {}

uint64_t KvMemory::BytesPerBlock(const ModelConfig& model) {
  return uint64_t{kTokensPerBlock} * (model.head_dim + ValueStride(model)) * model.kv_heads * model.layers *
         ElementBytes(TypeOf(model));
}

void KvMemory::Write(int block, int slot, int layer, int kv_head, const float* key, const float* value) const {
  std::byte* const keys = At(block, layer, kv_head, slot);
  std::byte* const values = At(block, layer, kv_head, key_elements_ + static_cast<size_t>(slot) * value_stride_);
  if (type_ == WeightType::kFloat32) {
    WriteColumn(key, head_dim_, reinterpret_cast<float*>(keys));
    std::copy_n(value, head_dim_, reinterpret_cast<float*>(values));
    return;
  }
  constexpr int kPiece = 64;
  uint16_t halves[kPiece];
  for (int d = 0; d < head_dim_; d += kPiece) {
    const int count = std::min(kPiece, head_dim_ - d);
    kernels_.to_float16(key + d, count, halves);
    WriteColumn(halves, count, reinterpret_cast<uint16_t*>(keys) + size_t{kTokensPerBlock} * d);
  }
  kernels_.to_float16(value, head_dim_, reinterpret_cast<uint16_t*>(values));
}

void KvMemory::CopyLayer(int from_block, int to_block, int layer) const {
  std::copy_n(At(from_block, layer, 0, 0), head_elements_ * kv_heads_ * element_bytes_, At(to_block, layer, 0, 0));
}

}  // namespace embedded::cpu
