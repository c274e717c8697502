#include "native/embedded/cuda/decode_attention.h"

#include "native/embedded/cuda/plain_attention.h"
#include "paged_cache.h"

namespace embedded::cuda {
namespace {

struct Case {
  Element element;
  int kv_heads, group, head_dim, tokens_per_block;
  std::vector<int32_t> lengths;
  KvType type = KvType::kElements;
};
const std::vector<int32_t> kEdges{1, 0, 15, 16, 17, 63, 64, 65, 0, 129, 700};

std::string NameOf(const Case& c) {
  return std::string(NameOf(c.element)) + (c.type == KvType::kInt8 ? "_int8_" : "_") + std::to_string(c.kv_heads) +
         "x" + std::to_string(c.group) + "_dim" + std::to_string(c.head_dim) + "_block" +
         std::to_string(c.tokens_per_block) + "_batch" + std::to_string(c.lengths.size()) + "_first" +
         std::to_string(c.lengths[0]);
}

std::vector<double> Expected(const PagedCache& cache, const std::vector<uint16_t>& queries, int group) {
  const KvLayout& kv = cache.kv.layout;
  const size_t dim = static_cast<size_t>(kv.head_dim), heads = static_cast<size_t>(kv.kv_heads * group);
  const double scale = 1 / std::sqrt(static_cast<double>(kv.head_dim));
  std::vector<double> out(cache.lengths.size() * heads * dim);
  for (size_t s = 0; s < cache.lengths.size(); ++s)
    for (size_t h = 0; h < heads; ++h) {
      const int kv_head = static_cast<int>(h) / group;
      const size_t at = (s * heads + h) * dim;
      std::vector<double> scores;
      for (int token = 0; token < cache.lengths[s]; ++token) {
        double score = 0;
        for (size_t d = 0; d < dim; ++d)
          score += FromBits(kv.element, queries[at + d]) * cache.Key(s, token, kv_head, d);
        scores.push_back(score * scale);
      }
      if (scores.empty()) continue;
      const double max = *std::max_element(scores.begin(), scores.end());
      double sum = 0;
      for (double& score : scores) sum += score = std::exp(score - max);
      for (int token = 0; token < cache.lengths[s]; ++token)
        for (size_t d = 0; d < dim; ++d)
          out[at + d] += scores[static_cast<size_t>(token)] / sum * cache.Value(s, token, kv_head, d);
    }
  return out;
}

class DecodeAttentionTest : public GpuTestWith<Case> {
 protected:
  struct Setup {
    PagedCache cache;
    std::vector<uint16_t> queries;
    DeviceArray<uint16_t> device_queries, out;
    DeviceArray<uint8_t> workspace;
    DecodeAttentionShape shape;
    DecodeAttentionBuffers buffers;

    explicit Setup(const Case& c)
        : cache(c.element, c.kv_heads, c.head_dim, c.tokens_per_block, c.lengths, c.type),
          queries(RandomElements(c.element, c.lengths.size() * Width(c), 3)),
          device_queries(queries),
          out(queries.size()),
          workspace(DecodeAttentionWorkspaceBytes(cache.kv, c.kv_heads * c.group, static_cast<int>(c.lengths.size()),
                                                  CurrentDeviceTraits())),
          shape{cache.kv,         static_cast<int>(c.lengths.size()), c.kv_heads * c.group,
                cache.max_blocks, static_cast<int>(Width(c)),         1 / std::sqrt(static_cast<float>(c.head_dim))},
          buffers{
              device_queries.get(),     cache.kv.Keys(cache.device.get(), 0), cache.kv.Values(cache.device.get(), 0),
              cache.device_table.get(), cache.device_lengths.get(),           out.get(),
              workspace.get()} {}
    static size_t Width(const Case& c) { return static_cast<size_t>(c.kv_heads * c.group * c.head_dim); }
  };
};

TEST_P(DecodeAttentionTest, EqualsTheDefinitionAndRepeatsBitForBit) {
  Setup setup(GetParam());
  ASSERT_TRUE(CanDecodeAttention(setup.cache.kv));
  const std::vector<double> expected = Expected(setup.cache, setup.queries, GetParam().group);
  PlanDecodeAttention(setup.shape, setup.buffers, nullptr);
  DecodeAttention(setup.shape, setup.buffers, nullptr);
  const std::vector<uint16_t> first = setup.out.Read();
  EXPECT_LT(RelativeError(FromBits(GetParam().element, first), expected), 1.5 * Rounding(GetParam().element));
  for (int layer = 0; layer < 20; ++layer) {  // the plan serves every layer of a step
    setup.out.Poison();
    DecodeAttention(setup.shape, setup.buffers, nullptr);
    ASSERT_EQ(setup.out.Read(), first) << "run " << layer;
  }
}

TEST_P(DecodeAttentionTest, ThePlainTwinEqualsTheDefinition) {
  Setup setup(GetParam());
  std::vector<int32_t> positions = GetParam().lengths;
  for (int32_t& position : positions) --position;
  DeviceArray<int32_t> device_positions(positions);
  const DecodeAttentionBuffers& b = setup.buffers;
  PlainAttention({setup.cache.kv, setup.shape.sequences, setup.shape.heads, setup.shape.max_blocks,
                  setup.shape.query_stride, setup.shape.scale},
                 {b.queries, b.keys, b.values, device_positions.get(), nullptr, b.block_table, b.out}, nullptr);
  EXPECT_LT(RelativeError(FromBits(GetParam().element, setup.out.Read()),
                          Expected(setup.cache, setup.queries, GetParam().group)),
            Rounding(GetParam().element));
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const Element element : {Element::kBfloat16, Element::kFloat16}) {
    for (const int head_dim : {8, 32, 40, 64, 80, 96, 128, 160, 192, 256})
      cases.push_back({element, 2, 4, head_dim, 16, kEdges});
    for (const int group : {1, 3, 5, 7, 8, 12, 16}) cases.push_back({element, 2, group, 64, 32, kEdges});
    for (const int tokens_per_block : {16, 32, 64, 128})
      cases.push_back({element, 1, 8, 128, tokens_per_block, kEdges});
  }
  for (const Element element : {Element::kBfloat16, Element::kFloat16}) {
    for (const int head_dim : {16, 32, 48, 64, 80, 96, 128, 160, 192, 256})
      cases.push_back({element, 2, 4, head_dim, 16, kEdges, KvType::kInt8});
    for (const int group : {1, 3, 8, 12}) cases.push_back({element, 2, group, 64, 32, kEdges, KvType::kInt8});
    for (const int tokens_per_block : {32, 64, 128})
      cases.push_back({element, 1, 8, 128, tokens_per_block, kEdges, KvType::kInt8});
    cases.push_back({element, 8, 4, 128, 64, {4097}, KvType::kInt8});
    cases.push_back({element, 1, 1, 64, 16, {20000, 3, 5000}, KvType::kInt8});
  }
  cases.push_back({Element::kBfloat16, 8, 4, 128, 64, {1}});
  cases.push_back({Element::kBfloat16, 8, 4, 128, 64, {4097}});
  cases.push_back({Element::kBfloat16, 1, 1, 64, 16, {20000, 3, 5000}});
  cases.push_back({Element::kBfloat16, 8, 4, 64, 64, std::vector<int32_t>(100, 130)});
  cases.push_back({Element::kBfloat16, 1, 2, 64, 16, std::vector<int32_t>(1500, 5)});  // more than a block's threads
  return cases;
}
INSTANTIATE_TEST_SUITE_P(Shapes, DecodeAttentionTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return NameOf(info.param); });

class DecodeAttentionGraph : public GpuTest {};

TEST_F(DecodeAttentionGraph, ACapturedStepStaysRightWhenTheLengthsChange) {
  const Case longest{Element::kBfloat16, 2, 4, 64, 16, {900, 900, 900}};
  PagedCache cache(longest.element, 2, 64, 16, longest.lengths);
  const std::vector<uint16_t> queries = RandomElements(longest.element, 3 * 8 * 64, 3);
  DeviceArray<uint16_t> device_queries(queries), out(queries.size());
  DeviceArray<uint8_t> workspace(DecodeAttentionWorkspaceBytes(cache.kv, 8, 3, CurrentDeviceTraits()));
  const DecodeAttentionShape shape{cache.kv, 3, 8, cache.max_blocks, 8 * 64, 0.125f};
  const DecodeAttentionBuffers buffers{
      device_queries.get(),     cache.kv.Keys(cache.device.get(), 0), cache.kv.Values(cache.device.get(), 0),
      cache.device_table.get(), cache.device_lengths.get(),           out.get(),
      workspace.get()};
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  PlanDecodeAttention(shape, buffers, stream);
  DecodeAttention(shape, buffers, stream);
  DecodeAttention(shape, buffers, stream);
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
  for (const std::vector<int32_t>& lengths :
       std::vector<std::vector<int32_t>>{{900, 900, 900}, {0, 0, 0}, {1, 0, 64}, {0, 899, 1}, {65, 3, 0}}) {
    cache.lengths = lengths;
    cudaMemcpy(cache.device_lengths.get(), lengths.data(), sizeof(int32_t) * 3, cudaMemcpyHostToDevice);
    out.Poison();
    ASSERT_EQ(cudaGraphLaunch(executable, stream), cudaSuccess);
    ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
    EXPECT_LT(RelativeError(FromBits(longest.element, out.Read()), Expected(cache, queries, 4)), 5e-3) << lengths[0];
  }
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
  cudaStreamDestroy(stream);
}

}  // namespace
}  // namespace embedded::cuda
