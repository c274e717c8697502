// The memory of the KV blocks on the CPU.
#ifndef EMBEDDED_CPU_KV_MEMORY_H_
#define EMBEDDED_CPU_KV_MEMORY_H_

#include <cstddef>
#include <cstdint>

#include "native/embedded/checkpoint/config.h"
#include "native/embedded/cpu/kernels.h"
#include "native/embedded/cpu/paged_memory.h"
#include "native/executor/config.h"

namespace embedded::cpu {

// Tokens in a block: a panel's width, so that a block's keys are a panel (kernels.h) and queries meet them as inputs
// meet weights.
constexpr int kTokensPerBlock = 32;

// Keys and values of all blocks: [blocks, layers, kv_heads] x (keys [head_dim, 32], values [32, padded head_dim]). Keys
// lie token by token in a row of each dimension. A model of float32 keeps them as fp32, and one of 16 bits as fp16, as
// llama.cpp does also for bfloat16: it has more bits of each number, and none of them is out of its range. As int8 they
// are followed by the scales of keys and of values, fp32 [32] each: a token's largest number in a head is 127 of them.
class KvMemory {
 public:
  // Borrows `kernels`. Throws std::bad_alloc.
  KvMemory(const ModelConfig& model, ExecutorKvDtype dtype, const Kernels& kernels, int blocks);

  static uint64_t BytesPerBlock(const ModelConfig& model, ExecutorKvDtype dtype);

  PanelType type() const { return type_; }
  const void* Keys(int block, int layer, int kv_head) const { return At(block, layer, kv_head, 0); }
  const void* Values(int block, int layer, int kv_head, size_t column) const {
    return At(block, layer, kv_head, key_elements_ + column);
  }
  // What the int8 of each of a block's tokens are multiplied by, [32]. Null where they are floats.
  const float* KeyScales(int block, int layer, int kv_head) const { return ScalesAt(block, layer, kv_head); }
  const float* ValueScales(int block, int layer, int kv_head) const {
    const float* const keys = ScalesAt(block, layer, kv_head);
    return keys == nullptr ? nullptr : keys + kTokensPerBlock;
  }
  // Of one token, [head_dim] each.
  void Write(int block, int slot, int layer, int kv_head, const float* key, const float* value) const;
  void CopyLayer(int from_block, int to_block, int layer) const;
  // head_dim rounded up to whole panels; the columns past head_dim stay 0.
  int value_stride() const { return value_stride_; }

 private:
  std::byte* At(int block, int layer, int kv_head, size_t element) const {
    const size_t head = (static_cast<size_t>(block) * layers_ + layer) * kv_heads_ + kv_head;
    return static_cast<std::byte*>(memory_.data()) + head * head_bytes_ + element * element_bytes_;
  }
  float* ScalesAt(int block, int layer, int kv_head) const {
    if (type_ != PanelType::kInt8) return nullptr;
    return reinterpret_cast<float*>(At(block, layer, kv_head, head_elements_));
  }
  // Each gives the scale of what it wrote.
  float WriteInt8Key(const float* key, int8_t* column) const;
  float WriteInt8Value(const float* value, int8_t* row) const;

  const Kernels& kernels_;
  PanelType type_;
  size_t element_bytes_;
  int layers_;
  int kv_heads_;
  int head_dim_;
  int value_stride_;
  size_t key_elements_;
  size_t head_elements_;  // of keys and values
  size_t head_bytes_;     // with the scales
  PagedMemory memory_;
};

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_KV_MEMORY_H_
