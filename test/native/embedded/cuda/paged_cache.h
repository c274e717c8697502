// A paged KV cache with random keys and values in the places of some sequences, and NaN everywhere else.
#ifndef TEST_NATIVE_EMBEDDED_CUDA_PAGED_CACHE_H_
#define TEST_NATIVE_EMBEDDED_CUDA_PAGED_CACHE_H_

#include <algorithm>
#include <numeric>

#include "gpu_test.h"
#include "native/embedded/cuda/kv_layout.h"

namespace embedded::cuda {

struct PagedCache {
  KvLayout kv;
  std::vector<int32_t> lengths;
  int max_blocks;
  std::vector<int32_t> block_table;  // [sequences, max_blocks], -1 past a sequence's end
  std::vector<uint16_t> host;        // as on the device
  DeviceArray<uint16_t> device;
  DeviceArray<int32_t> device_table;
  DeviceArray<int32_t> device_lengths;

  static int BlocksOf(int length, int tokens_per_block) { return (length + tokens_per_block - 1) / tokens_per_block; }

  PagedCache(Element element, int kv_heads, int head_dim, int tokens_per_block, const std::vector<int32_t>& given)
      : kv{element,
           1,
           1 + std::accumulate(given.begin(), given.end(), 0,
                               [&](int sum, int length) { return sum + BlocksOf(length, tokens_per_block); }),
           kv_heads,
           tokens_per_block,
           head_dim},
        lengths(given),
        max_blocks(BlocksOf(*std::max_element(given.begin(), given.end()), tokens_per_block) + 1),
        block_table(given.size() * static_cast<size_t>(max_blocks), -1),
        host(Fill()),
        device(host),
        device_table(block_table),
        device_lengths(lengths) {}

  // Where a token's keys begin; its values follow a plane later.
  size_t At(size_t sequence, int token, int kv_head) const {
    const int32_t block =
        block_table[sequence * static_cast<size_t>(max_blocks) + static_cast<size_t>(token / kv.tokens_per_block)];
    return ((static_cast<size_t>(block) * static_cast<size_t>(kv.kv_heads) + static_cast<size_t>(kv_head)) *
                static_cast<size_t>(kv.tokens_per_block) +
            static_cast<size_t>(token % kv.tokens_per_block)) *
           static_cast<size_t>(kv.head_dim);
  }
  size_t plane() const { return static_cast<size_t>(kv.blocks) * kv.block_elements(); }

 private:
  std::vector<uint16_t> Fill() {
    std::vector<int32_t> free(static_cast<size_t>(kv.blocks));
    std::iota(free.begin(), free.end(), 0);
    std::shuffle(free.begin(), free.end(), std::mt19937(7));
    std::vector<uint16_t> cache(kv.bytes() / 2, 0xFFFF);
    std::mt19937 random(11);
    std::normal_distribution<float> normal;
    for (size_t s = 0; s < lengths.size(); ++s) {
      for (int b = 0; b < BlocksOf(lengths[s], kv.tokens_per_block); ++b) {
        block_table[s * static_cast<size_t>(max_blocks) + static_cast<size_t>(b)] = free.back();
        free.pop_back();
      }
      for (int token = 0; token < lengths[s]; ++token)
        for (int h = 0; h < kv.kv_heads; ++h)
          for (int d = 0; d < kv.head_dim; ++d) {
            const size_t at = At(s, token, h) + static_cast<size_t>(d);
            cache[at] = ToBits(kv.element, normal(random));
            cache[at + plane()] = ToBits(kv.element, normal(random));
          }
    }
    return cache;
  }
};

}  // namespace embedded::cuda

#endif  // TEST_NATIVE_EMBEDDED_CUDA_PAGED_CACHE_H_
