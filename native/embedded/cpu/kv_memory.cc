#include "native/embedded/cpu/kv_memory.h"

#include <algorithm>

namespace embedded::cpu {
namespace {

static_assert(kTokensPerBlock == kPanelWidth);

constexpr int kPiece = 64;              // numbers that are converted at once
constexpr float kMost = 127;            // of int8
constexpr float kLeastNumber = 1e-30f;  // below it all are 0, because kMost divided by it would be infinite

int ValueStride(const ModelConfig& model) { return (model.head_dim + kPanelWidth - 1) / kPanelWidth * kPanelWidth; }

PanelType TypeOf(const ModelConfig& model, ExecutorKvDtype dtype) {
  if (dtype == KV_DTYPE_INT8) return PanelType::kInt8;
  return model.dtype == "float32" ? PanelType::kFloat32 : PanelType::kFloat16;
}

size_t ElementBytes(PanelType type) {
  if (type == PanelType::kInt8) return sizeof(int8_t);
  return type == PanelType::kFloat32 ? sizeof(float) : sizeof(uint16_t);
}

size_t HeadElements(const ModelConfig& model) {
  return static_cast<size_t>(kTokensPerBlock) * static_cast<size_t>(model.head_dim + ValueStride(model));
}

size_t HeadBytes(const ModelConfig& model, PanelType type) {
  const size_t scales = type == PanelType::kInt8 ? 2 * kTokensPerBlock * sizeof(float) : 0;
  return HeadElements(model) * ElementBytes(type) + scales;
}

// A key to its column of a panel.
template <typename T>
void WriteColumn(const T* key, int size, T* column) {
  for (int d = 0; d < size; ++d) column[size_t{kTokensPerBlock} * d] = key[d];
}

float FactorOf(float largest) { return largest >= kLeastNumber ? kMost / largest : 0; }

}  // namespace

KvMemory::KvMemory(const ModelConfig& model, ExecutorKvDtype dtype, const Kernels& kernels, int blocks)
    : kernels_(kernels),
      type_(TypeOf(model, dtype)),
      element_bytes_(ElementBytes(type_)),
      layers_(model.layers),
      kv_heads_(model.kv_heads),
      head_dim_(model.head_dim),
      value_stride_(ValueStride(model)),
      key_elements_(static_cast<size_t>(model.head_dim) * kTokensPerBlock),
      head_elements_(HeadElements(model)),
      head_bytes_(HeadBytes(model, type_)),
      memory_(static_cast<size_t>(blocks) * BytesPerBlock(model, dtype), PageSize::kDefault) {}

uint64_t KvMemory::BytesPerBlock(const ModelConfig& model, ExecutorKvDtype dtype) {
  return uint64_t{HeadBytes(model, TypeOf(model, dtype))} * static_cast<uint64_t>(model.kv_heads) *
         static_cast<uint64_t>(model.layers);
}

void KvMemory::Write(int block, int slot, int layer, int kv_head, const float* key, const float* value) const {
  std::byte* const keys = At(block, layer, kv_head, slot);
  std::byte* const values = At(block, layer, kv_head, key_elements_ + static_cast<size_t>(slot) * value_stride_);
  if (type_ == PanelType::kFloat32) {
    WriteColumn(key, head_dim_, reinterpret_cast<float*>(keys));
    std::copy_n(value, head_dim_, reinterpret_cast<float*>(values));
    return;
  }
  if (type_ == PanelType::kInt8) {
    float* const scales = ScalesAt(block, layer, kv_head) + slot;
    scales[0] = WriteInt8Key(key, reinterpret_cast<int8_t*>(keys));
    scales[kTokensPerBlock] = WriteInt8Value(value, reinterpret_cast<int8_t*>(values));
    return;
  }
  uint16_t halves[kPiece];
  for (int d = 0; d < head_dim_; d += kPiece) {
    const int count = std::min(kPiece, head_dim_ - d);
    kernels_.to_float16(key + d, count, halves);
    WriteColumn(halves, count, reinterpret_cast<uint16_t*>(keys) + size_t{kTokensPerBlock} * d);
  }
  kernels_.to_float16(value, head_dim_, reinterpret_cast<uint16_t*>(values));
}

float KvMemory::WriteInt8Key(const float* key, int8_t* column) const {
  const float largest = kernels_.max_magnitude(key, head_dim_);
  int8_t bytes[kPiece];
  for (int d = 0; d < head_dim_; d += kPiece) {
    const int count = std::min(kPiece, head_dim_ - d);
    kernels_.to_int8(key + d, FactorOf(largest), count, bytes);
    WriteColumn(bytes, count, column + size_t{kTokensPerBlock} * d);
  }
  return largest / kMost;
}

float KvMemory::WriteInt8Value(const float* value, int8_t* row) const {
  const float largest = kernels_.max_magnitude(value, head_dim_);
  kernels_.to_int8(value, FactorOf(largest), head_dim_, row);
  return largest / kMost;
}

void KvMemory::CopyLayer(int from_block, int to_block, int layer) const {
  std::copy_n(At(from_block, layer, 0, 0), head_bytes_ * kv_heads_, At(to_block, layer, 0, 0));
}

}  // namespace embedded::cpu
