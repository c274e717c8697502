#include "native/embedded/cuda/prefill_attention.h"

#include "paged_cache.h"

namespace embedded::cuda {
namespace {

struct Chunk {
  int query_tokens, context_tokens;
};
struct Case {
  PrefillKernel kernel;
  Element element;
  int kv_heads, group, head_dim, tokens_per_block;
  std::vector<Chunk> chunks;
  int expanded_blocks = 0;  // 0: the cache has elements
};
const std::vector<Chunk> kChunks{{1, 1}, {5, 5}, {1, 100}, {64, 64}, {33, 200}, {130, 131}, {16, 16}, {2, 33}};

std::string NameOf(const Case& c) {
  const char* kernel = c.kernel == PrefillKernel::kFa2 ? "fa2_" : c.kernel == PrefillKernel::kFa3 ? "fa3_" : "plain_";
  return kernel + std::string(NameOf(c.element)) + "_" + std::to_string(c.kv_heads) + "x" + std::to_string(c.group) +
         "_dim" + std::to_string(c.head_dim) + "_block" + std::to_string(c.tokens_per_block) + "_first" +
         std::to_string(c.chunks[0].query_tokens) + "of" + std::to_string(c.chunks[0].context_tokens) +
         (c.expanded_blocks > 0 ? "_int8_by" + std::to_string(c.expanded_blocks) : "");
}

std::vector<int32_t> ContextsOf(const std::vector<Chunk>& chunks) {
  std::vector<int32_t> contexts;
  for (const Chunk& chunk : chunks) contexts.push_back(chunk.context_tokens);
  return contexts;
}

class PinnedMemory {
 public:
  explicit PinnedMemory(size_t bytes) { CheckKernel(cudaMallocHost(&data_, bytes), "cudaMallocHost"); }
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;
  ~PinnedMemory() { cudaFreeHost(data_); }
  void* get() const { return data_; }

 private:
  void* data_ = nullptr;
};

class PrefillAttentionTest : public GpuTestWith<Case> {
 protected:
  static int RowsOf(const Case& c) {
    int rows = 0;
    for (const Chunk& chunk : c.chunks) rows += chunk.query_tokens;
    return rows;
  }
  // Queries as the model has them: within the rows of qkv.
  static int Stride(const Case& c) { return (c.group + 2) * c.kv_heads * c.head_dim; }
};

TEST_P(PrefillAttentionTest, EqualsThePlainTwin) {
  const Case& c = GetParam();
  const int heads = c.kv_heads * c.group, rows = RowsOf(c);
  PagedCache cache(c.element, c.kv_heads, c.head_dim, c.tokens_per_block, ContextsOf(c.chunks),
                   c.expanded_blocks > 0 ? KvType::kInt8 : KvType::kElements);
  const std::vector<uint16_t> queries =
      RandomElements(c.element, static_cast<size_t>(rows) * static_cast<size_t>(Stride(c)), 3);
  DeviceArray<uint16_t> device_queries(queries), out(static_cast<size_t>(rows * heads * c.head_dim)),
      expected(out.size());
  const PrefillLimits limits{static_cast<int>(c.chunks.size()), rows, cache.kv.layout.blocks, c.expanded_blocks};
  DeviceArray<uint8_t> device_memory(PrefillAttention::DeviceBytes(cache.kv, heads, limits, CurrentDeviceTraits()));
  const PinnedMemory pinned(PrefillAttention::PinnedBytes(limits));
  PrefillAttention attention(cache.kv, heads, 1 / std::sqrt(static_cast<float>(c.head_dim)), limits,
                             device_memory.get(), pinned.get());
  if (!attention.Has(c.kernel)) GTEST_SKIP() << "this build has no such kernel for the device";
  std::vector<PrefillSequence> sequences;
  for (size_t s = 0; s < c.chunks.size(); ++s)
    sequences.push_back({c.chunks[s].query_tokens, c.chunks[s].context_tokens,
                         cache.block_table.data() + s * static_cast<size_t>(cache.max_blocks)});
  PrefillLayer layer{device_queries.get(), Stride(c), cache.kv.Keys(cache.device.get(), 0),
                     cache.kv.Values(cache.device.get(), 0), expected.get()};
  attention.Plan(sequences, PrefillKernel::kPlain, nullptr);
  attention.Run(layer, nullptr);
  layer.out = out.get();
  for (int step = 0; step < 3; ++step) {  // the slots of pinned memory are used again
    out.Poison();
    attention.Plan(sequences, c.kernel, nullptr);
    attention.Run(layer, nullptr);
    attention.Run(layer, nullptr);
  }
  const std::vector<float> want = FromBits(c.element, expected.Read());
  EXPECT_LT(RelativeError(FromBits(c.element, out.Read()), {want.begin(), want.end()}), 2 * Rounding(c.element));
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  const std::vector<Chunk> full{{700, 700}}, with_history{{600, 1500}, {70, 71}};
  for (const Element element : {Element::kBfloat16, Element::kFloat16}) {
    for (const int head_dim : {64, 128, 256}) {
      cases.push_back({PrefillKernel::kFa2, element, 2, 4, head_dim, 16, kChunks});
      cases.push_back({PrefillKernel::kFa2, element, 2, 4, head_dim, 64, with_history});
    }
    for (const int group : {1, 3, 5, 7, 8}) cases.push_back({PrefillKernel::kFa2, element, 2, group, 128, 32, kChunks});
    for (const int group : {1, 3, 4, 7, 8}) cases.push_back({PrefillKernel::kFa3, element, 2, group, 128, 32, kChunks});
    // As many query heads for each of keys as Llama 70B has: what is split takes the most room.
    cases.push_back({PrefillKernel::kFa2, element, 8, 8, 128, 64, {{16, 4000}}});
    for (const int tokens_per_block : {16, 64}) {
      cases.push_back({PrefillKernel::kFa3, element, 8, 4, 128, tokens_per_block, full});
      cases.push_back({PrefillKernel::kFa3, element, 2, 4, 128, tokens_per_block, with_history});
    }
    // All chunks' blocks at once, then in parts: with 16 tokens each, kChunks have 1, 1, 7, 4, 13, 9, 1 and 3.
    for (const int expanded_blocks : {39, 13}) {
      for (const int head_dim : {64, 128, 256})
        cases.push_back({PrefillKernel::kFa2, element, 2, 4, head_dim, 16, kChunks, expanded_blocks});
      cases.push_back({PrefillKernel::kFa3, element, 2, 4, 128, 16, kChunks, expanded_blocks});
    }
  }
  return cases;
}
INSTANTIATE_TEST_SUITE_P(Shapes, PrefillAttentionTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return NameOf(info.param); });

class PrefillDefinition : public GpuTest {};

TEST_F(PrefillDefinition, ThePlainTwinSeesEachRowsPastAndNothingElse) {
  const std::vector<Chunk> chunks{{3, 3}, {2, 40}, {1, 17}};
  PagedCache cache(Element::kFloat16, 1, 6, 16, ContextsOf(chunks));
  const std::vector<uint16_t> queries = RandomElements(Element::kFloat16, 6 * 2 * 6, 3);
  DeviceArray<uint16_t> device_queries(queries), out(queries.size());
  const PrefillLimits limits{3, 6, cache.kv.layout.blocks};
  DeviceArray<uint8_t> device_memory(PrefillAttention::DeviceBytes(cache.kv, 2, limits, CurrentDeviceTraits()));
  const PinnedMemory pinned(PrefillAttention::PinnedBytes(limits));
  PrefillAttention attention(cache.kv, 2, 0.5f, limits, device_memory.get(), pinned.get());
  std::vector<PrefillSequence> sequences;
  for (size_t s = 0; s < chunks.size(); ++s)
    sequences.push_back({chunks[s].query_tokens, chunks[s].context_tokens,
                         cache.block_table.data() + s * static_cast<size_t>(cache.max_blocks)});
  EXPECT_EQ(attention.Choose(6), PrefillKernel::kPlain) << "head_dim 6";
  attention.Plan(sequences, attention.Choose(6), nullptr);
  attention.Run({device_queries.get(), 12, cache.kv.Keys(cache.device.get(), 0), cache.kv.Values(cache.device.get(), 0),
                 out.get()},
                nullptr);
  std::vector<double> expected;
  size_t row = 0;
  for (size_t s = 0; s < chunks.size(); ++s)
    for (int i = 0; i < chunks[s].query_tokens; ++i, ++row)
      for (size_t h = 0; h < 2; ++h) {
        std::vector<double> sums(6);
        double total = 0;
        for (int t = 0; t <= chunks[s].context_tokens - chunks[s].query_tokens + i; ++t) {
          double score = 0;
          for (size_t d = 0; d < 6; ++d)
            score += FromBits(Element::kFloat16, queries[row * 12 + h * 6 + d]) * cache.Key(s, t, 0, d);
          const double weight = std::exp(score * 0.5);
          total += weight;
          for (size_t d = 0; d < 6; ++d) sums[d] += weight * cache.Value(s, t, 0, d);
        }
        for (const double sum : sums) expected.push_back(sum / total);
      }
  EXPECT_LT(RelativeError(FromBits(Element::kFloat16, out.Read()), expected), Rounding(Element::kFloat16));
}

}  // namespace
}  // namespace embedded::cuda
