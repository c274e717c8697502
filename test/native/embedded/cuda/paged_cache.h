// A paged KV cache with random keys and values in the places of some sequences, and NaN everywhere else (in 8 bits, in all scales).
#ifndef TEST_NATIVE_EMBEDDED_CUDA_PAGED_CACHE_H_
#define TEST_NATIVE_EMBEDDED_CUDA_PAGED_CACHE_H_

#include <algorithm>
#include <numeric>

#include "gpu_test.h"
#include "native/embedded/cuda/kv_format.h"

namespace embedded::cuda {

struct PagedCache {
  KvFormat kv;
  std::vector<int32_t> lengths;
  int max_blocks;
  std::vector<int32_t> block_table;  // [sequences, max_blocks], -1 past a sequence's end
  std::vector<uint8_t> host;         // as on the device
  DeviceArray<uint8_t> device;
  DeviceArray<int32_t> device_table;
  DeviceArray<int32_t> device_lengths;

  static int BlocksOf(int length, int tokens_per_block) { return (length + tokens_per_block - 1) / tokens_per_block; }

  PagedCache(Element element, int kv_heads, int head_dim, int tokens_per_block, const std::vector<int32_t>& given,
             KvType type = KvType::kElements)
      : kv({element, 1,
            1 + std::accumulate(given.begin(), given.end(), 0,
                                [&](int sum, int length) { return sum + BlocksOf(length, tokens_per_block); }),
            kv_heads, tokens_per_block, head_dim},
           type),
        lengths(given),
        max_blocks(BlocksOf(*std::max_element(given.begin(), given.end()), tokens_per_block) + 1),
        block_table(given.size() * static_cast<size_t>(max_blocks), -1),
        host(Fill()),
        device(host),
        device_table(block_table),
        device_lengths(lengths) {}

  double Key(size_t sequence, int token, int kv_head, size_t d) const { return Number(0, sequence, token, kv_head, d); }
  double Value(size_t sequence, int token, int kv_head, size_t d) const {
    return Number(1, sequence, token, kv_head, d);
  }

 private:
  // Where a token's numbers and their scale are, in bytes.
  struct Place {
    size_t numbers, scale;
  };
  Place At(int plane, size_t sequence, int token, int kv_head) const {
    const size_t block = static_cast<size_t>(block_table[sequence * static_cast<size_t>(max_blocks) +
                                                         static_cast<size_t>(token / kv.layout.tokens_per_block)]);
    const size_t slot = static_cast<size_t>(token % kv.layout.tokens_per_block);
    const size_t head_dim = static_cast<size_t>(kv.layout.head_dim);
    const size_t begin = (static_cast<size_t>(plane * kv.layout.blocks) + block) * kv.block_bytes() +
                         static_cast<size_t>(kv_head) * kv.head_bytes();
    if (kv.type == KvType::kElements) return {begin + slot * head_dim * 2, 0};
    return {begin + slot * head_dim,
            begin + static_cast<size_t>(kv.layout.tokens_per_block) * head_dim + slot * sizeof(float)};
  }
  double Number(int plane, size_t sequence, int token, int kv_head, size_t d) const {
    const Place at = At(plane, sequence, token, kv_head);
    if (kv.type == KvType::kInt8) {
      float scale;
      std::memcpy(&scale, host.data() + at.scale, sizeof(scale));
      return (host[at.numbers + d] - 128.0) * scale;
    }
    uint16_t bits;
    std::memcpy(&bits, host.data() + at.numbers + d * sizeof(bits), sizeof(bits));
    return FromBits(kv.layout.element, bits);
  }

  std::vector<uint8_t> Fill() {
    std::vector<int32_t> free(static_cast<size_t>(kv.layout.blocks));
    std::iota(free.begin(), free.end(), 0);
    std::shuffle(free.begin(), free.end(), std::mt19937(7));
    std::vector<uint8_t> cache(kv.bytes(), 0xFF);
    std::mt19937 random(11);
    std::normal_distribution<float> normal;
    for (size_t s = 0; s < lengths.size(); ++s) {
      for (int b = 0; b < BlocksOf(lengths[s], kv.layout.tokens_per_block); ++b) {
        block_table[s * static_cast<size_t>(max_blocks) + static_cast<size_t>(b)] = free.back();
        free.pop_back();
      }
      for (int token = 0; token < lengths[s]; ++token)
        for (int h = 0; h < kv.layout.kv_heads; ++h)
          for (int plane = 0; plane < 2; ++plane) {
            const Place at = At(plane, s, token, h);
            for (size_t d = 0; d < static_cast<size_t>(kv.layout.head_dim); ++d) {
              if (kv.type == KvType::kInt8) {
                cache[at.numbers + d] = static_cast<uint8_t>(1 + random() % 255);
                continue;
              }
              const uint16_t bits = ToBits(kv.layout.element, normal(random));
              std::memcpy(cache.data() + at.numbers + d * sizeof(bits), &bits, sizeof(bits));
            }
            const float scale = (0.5f + static_cast<float>(random() % 100) / 100) / 64;
            if (kv.type == KvType::kInt8) std::memcpy(cache.data() + at.scale, &scale, sizeof(scale));
          }
    }
    return cache;
  }
};

}  // namespace embedded::cuda

#endif  // TEST_NATIVE_EMBEDDED_CUDA_PAGED_CACHE_H_
