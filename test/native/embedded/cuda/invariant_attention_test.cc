// Attention whose bits for a row do not depend on the rows beside it: against its plain twin, and against itself.
#include "native/embedded/cuda/invariant_attention.h"

#include <map>
#include <optional>
#include <utility>

#include "paged_cache.h"

namespace embedded::cuda {
namespace {

struct Case {
  Element element;
  int kv_heads, group, head_dim;
  std::optional<int> window;
  KvType type = KvType::kElements;
};

std::string NameOf(const Case& c) {
  return std::string(NameOf(c.element)) + (c.type == KvType::kInt8 ? "_int8_" : "_") + std::to_string(c.kv_heads) +
         "x" + std::to_string(c.group) + "_dim" + std::to_string(c.head_dim) +
         (c.window ? "_window" + std::to_string(*c.window) : "");
}

struct RowOf {
  int sequence, position;  // -1: padding
};
enum class Tables { kOfSequences, kOfRows };

class InvariantAttentionTest : public GpuTestWith<Case> {
 protected:
  static constexpr int kTokensPerBlock = 64;
  // Around where pieces become longer, and some that fill no tile.
  const std::vector<int32_t> lengths_{700, 8230, 40, 1};

  void SetUp() override {
    GpuTestWith<Case>::SetUp();
    if (IsSkipped()) return;
    const Case& c = GetParam();
    cache_ = std::make_unique<PagedCache>(c.element, c.kv_heads, c.head_dim, kTokensPerBlock, lengths_, c.type);
    if (!CanInvariantAttention(cache_->kv)) GTEST_SKIP() << "needs sm_80";
    workspace_ = std::make_unique<DeviceArray<uint8_t>>(
        InvariantAttentionWorkspaceBytes(cache_->kv.layout, CurrentDeviceTraits()));
    workspace_->Zero();
  }

  size_t width() const { return static_cast<size_t>(GetParam().kv_heads * GetParam().group * GetParam().head_dim); }

  enum class Kernel { kInvariant, kPlain };
  // The output's bits, row by row. A row's queries follow from what it is.
  std::vector<std::vector<uint16_t>> Attend(const std::vector<RowOf>& rows, Tables tables,
                                            Kernel kernel = Kernel::kInvariant) {
    const Case& c = GetParam();
    std::vector<uint16_t> queries;
    std::vector<int32_t> positions, sequences, table;
    for (const RowOf& row : rows) {
      const uint32_t seed = static_cast<uint32_t>(row.sequence * 100000 + row.position);
      const std::vector<uint16_t> own = RandomElements(c.element, width(), seed);
      queries.insert(queries.end(), own.begin(), own.end());
      positions.push_back(row.position);
      sequences.push_back(row.sequence);
      const auto of_sequence = cache_->block_table.begin() + row.sequence * cache_->max_blocks;
      if (tables == Tables::kOfRows) table.insert(table.end(), of_sequence, of_sequence + cache_->max_blocks);
    }
    const DeviceArray<uint16_t> device_queries(queries), out(queries.size());
    const DeviceArray<int32_t> device_positions(positions), device_sequences(sequences), device_table(table);
    const bool of_rows = tables == Tables::kOfRows;
    const PlainAttentionShape shape{cache_->kv,
                                    static_cast<int>(rows.size()),
                                    c.kv_heads * c.group,
                                    cache_->max_blocks,
                                    static_cast<int>(width()),
                                    1 / std::sqrt(static_cast<float>(c.head_dim)),
                                    c.window};
    const PlainAttentionBuffers buffers{device_queries.get(),
                                        cache_->kv.Keys(cache_->device.get(), 0),
                                        cache_->kv.Values(cache_->device.get(), 0),
                                        device_positions.get(),
                                        of_rows ? nullptr : device_sequences.get(),
                                        of_rows ? device_table.get() : cache_->device_table.get(),
                                        out.get()};
    if (kernel == Kernel::kPlain)
      PlainAttention(shape, buffers, nullptr);
    else
      InvariantAttention(shape, buffers, workspace_->get(), nullptr);
    const std::vector<uint16_t> bits = out.Read();
    std::vector<std::vector<uint16_t>> by_row;
    for (size_t row = 0; row < rows.size(); ++row)
      by_row.emplace_back(bits.begin() + static_cast<std::ptrdiff_t>(row * width()),
                          bits.begin() + static_cast<std::ptrdiff_t>((row + 1) * width()));
    return by_row;
  }

  // Rows of a prompt's chunks, whose last is each sequence's last token.
  std::vector<RowOf> Chunks() const {
    std::vector<RowOf> rows;
    for (size_t s = 0; s < lengths_.size(); ++s)
      for (int position = std::max(0, lengths_[s] - 90); position < lengths_[s]; ++position)
        rows.push_back({static_cast<int>(s), position});
    return rows;
  }

  std::unique_ptr<PagedCache> cache_;
  std::unique_ptr<DeviceArray<uint8_t>> workspace_;
};

TEST_P(InvariantAttentionTest, EqualsThePlainTwin) {
  for (const Tables tables : {Tables::kOfSequences, Tables::kOfRows}) {
    std::vector<float> got;
    std::vector<double> expected;
    const auto append = [&](const std::vector<std::vector<uint16_t>>& rows, auto* to) {
      for (const std::vector<uint16_t>& row : rows)
        for (const uint16_t bits : row) to->push_back(FromBits(GetParam().element, bits));
    };
    append(Attend(Chunks(), tables), &got);
    append(Attend(Chunks(), tables, Kernel::kPlain), &expected);
    EXPECT_LT(RelativeError(got, expected), 2 * Rounding(GetParam().element));
  }
}

TEST_P(InvariantAttentionTest, ARowHasTheSameBitsInEveryChunkAndAsADecodeRow) {
  const std::vector<RowOf> rows = Chunks();
  const std::vector<std::vector<uint16_t>> whole = Attend(rows, Tables::kOfSequences);
  EXPECT_EQ(Attend(rows, Tables::kOfRows), whole) << "all as decode rows";
  for (const size_t size : {1, 2, 5, 13, 64})
    for (size_t first = 0; first < rows.size(); first += size) {
      const size_t end = std::min(first + size, rows.size());
      const std::vector<RowOf> part(rows.begin() + static_cast<std::ptrdiff_t>(first),
                                    rows.begin() + static_cast<std::ptrdiff_t>(end));
      const std::vector<std::vector<uint16_t>> expected(whole.begin() + static_cast<std::ptrdiff_t>(first),
                                                        whole.begin() + static_cast<std::ptrdiff_t>(end));
      ASSERT_EQ(Attend(part, Tables::kOfSequences), expected) << "a chunk of " << size << " from row " << first;
      if (size == 1 || size == 5) {
        ASSERT_EQ(Attend(part, Tables::kOfRows), expected) << size << " decode rows from row " << first;
      }
    }
}

TEST_P(InvariantAttentionTest, PaddingRowsAreLeftAsTheyAre) {
  const std::vector<std::vector<uint16_t>> alone = Attend({{0, 650}}, Tables::kOfRows);
  for (const Tables tables : {Tables::kOfSequences, Tables::kOfRows}) {
    const std::vector<std::vector<uint16_t>> padded = Attend({{0, -1}, {0, 650}, {0, -1}}, tables);
    EXPECT_EQ(padded[1], alone[0]);
    const std::vector<uint16_t> poison(width(), 0xFFFF);
    EXPECT_EQ(padded[0], poison);
    EXPECT_EQ(padded[2], poison);
  }
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const Element element : {Element::kBfloat16, Element::kFloat16}) {
    cases.push_back({element, 2, 4, 128, std::nullopt});
    cases.push_back({element, 2, 3, 256, std::nullopt});
    cases.push_back({element, 1, 7, 64, std::nullopt});
  }
  for (const int group : {1, 9, 16, 40}) cases.push_back({Element::kBfloat16, 2, group, 128, std::nullopt});
  for (const int head_dim : {40, 96, 192}) cases.push_back({Element::kBfloat16, 1, 2, head_dim, std::nullopt});
  for (const Element element : {Element::kBfloat16, Element::kFloat16})
    for (const int head_dim : {48, 64, 128, 192, 256})
      cases.push_back({element, 2, 4, head_dim, std::nullopt, KvType::kInt8});
  for (const int window : {1, 100}) cases.push_back({Element::kBfloat16, 2, 4, 128, window, KvType::kInt8});
  for (const int window : {1, 20, 100, 600}) cases.push_back({Element::kBfloat16, 2, 4, 128, window});
  return cases;
}
INSTANTIATE_TEST_SUITE_P(Shapes, InvariantAttentionTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return NameOf(info.param); });

}  // namespace
}  // namespace embedded::cuda
