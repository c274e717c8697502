// How the KV cache stores what KvLayout lays out: as the model's elements, or in 8 bits with a scale for each token and head.
//
// In 8 bits a layer's keys, and likewise its values, are
//   [blocks][kv_heads] x (codes [tokens_per_block][head_dim] uint8, scales [tokens_per_block] float)
// A number is (code - 128) * scale, and the largest magnitude that a token has in a head is 127 of its scale: what the CPU executor
// stores (cpu/kv_memory.h), 128 added, because kernels read unsigned codes (packed_codes.cuh).
#ifndef EMBEDDED_CUDA_KV_FORMAT_H_
#define EMBEDDED_CUDA_KV_FORMAT_H_

#include "native/embedded/cuda/kv_layout.h"

namespace embedded::cuda {

enum class KvType : uint8_t { kElements, kInt8 };

struct KvFormat {
  KvLayout layout{};
  KvType type = KvType::kElements;

  KvFormat() = default;
  KvFormat(const KvLayout& of, KvType stored_as = KvType::kElements) : layout(of), type(stored_as) {}

  // Of one layer's keys (or values), what one block has in one head, and in all.
  size_t head_bytes() const {
    const size_t head_dim = static_cast<size_t>(layout.head_dim);
    const size_t token = type == KvType::kInt8 ? head_dim + sizeof(float) : KvLayout::kElementBytes * head_dim;
    return static_cast<size_t>(layout.tokens_per_block) * token;
  }
  size_t block_bytes() const { return static_cast<size_t>(layout.kv_heads) * head_bytes(); }
  // Of all layers' keys and values.
  size_t bytes_per_block() const { return 2 * static_cast<size_t>(layout.layers) * block_bytes(); }
  size_t bytes() const { return static_cast<size_t>(layout.blocks) * bytes_per_block(); }

  void* Keys(void* cache, int layer) const { return At(cache, 2 * layer); }
  void* Values(void* cache, int layer) const { return At(cache, 2 * layer + 1); }

 private:
  void* At(void* cache, int plane) const {
    return static_cast<uint8_t*>(cache) +
           static_cast<size_t>(plane) * static_cast<size_t>(layout.blocks) * block_bytes();
  }
};

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_KV_FORMAT_H_
