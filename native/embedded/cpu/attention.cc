#include "native/embedded/cpu/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace embedded::cpu {
namespace {

constexpr int kRowsPerTile = 36;  // three of the AVX-512 kernel's tiles

void Multiply(const float* factors, int size, float* x) {
  for (int i = 0; i < size; ++i) x[i] *= factors[i];
}

}  // namespace

Attention::Attention(const ModelConfig& model, const KvMemory& kv_memory, const Kernels& kernels)
    : kv_memory_(kv_memory),
      kernels_(kernels),
      head_dim_(model.head_dim),
      group_(model.heads / model.kv_heads),
      queries_per_tile_(std::max(1, kRowsPerTile / group_)) {}

Attention::Scratch::Scratch(const Attention& attention) {
  const size_t rows = static_cast<size_t>(attention.queries_per_tile_) * attention.group_;
  queries_.resize(rows * attention.head_dim_);
  scores_.resize(rows * kTokensPerBlock);
  sums_.resize(rows * attention.kv_memory_.value_stride());
  states_.resize(rows);
}

void Attention::Compute(const AttentionTile& tile, Scratch* scratch) const {
  const int rows = tile.query_count * group_;
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim_));
  for (int row = 0; row < rows; ++row) {
    const float* query = tile.queries + (row / group_) * tile.row_stride + (row % group_) * head_dim_;
    for (int d = 0; d < head_dim_; ++d) scratch->queries_[static_cast<size_t>(row) * head_dim_ + d] = query[d] * scale;
    scratch->states_[row] = {-std::numeric_limits<float>::infinity(), 0.0f};
  }
  const size_t value_stride = kv_memory_.value_stride();
  std::fill_n(scratch->sums_.begin(), rows * value_stride, 0.0f);

  const int last_position = tile.first_position + tile.query_count - 1;
  const int first_seen = tile.window ? std::max(tile.first_position + 1 - *tile.window, 0) : 0;
  for (int block = first_seen / kTokensPerBlock; block * kTokensPerBlock <= last_position; ++block)
    AddBlock(tile, block, scratch);

  for (int row = 0; row < rows; ++row) {
    const float* sums = scratch->sums_.data() + row * value_stride;
    float* out = tile.out + (row / group_) * tile.out_stride + (row % group_) * head_dim_;
    const float factor = 1.0f / scratch->states_[row].sum;
    for (int d = 0; d < head_dim_; ++d) out[d] = sums[d] * factor;
  }
}

void Attention::AddBlock(const AttentionTile& tile, int block_index, Scratch* scratch) const {
  const int rows = tile.query_count * group_;
  const int block = tile.block_table[block_index];
  const int first_token = block_index * kTokensPerBlock;
  const size_t value_stride = kv_memory_.value_stride();
  const float* const key_scales = kv_memory_.KeyScales(block, tile.layer, tile.kv_head);
  const float* const value_scales = kv_memory_.ValueScales(block, tile.layer, tile.kv_head);
  // No value behind the last query's position is read: it may be another sequence's leftover.
  const int last_position = tile.first_position + tile.query_count - 1;
  const int tokens = std::min(kTokensPerBlock, last_position + 1 - first_token);

  kernels_.panel_product(
      kv_memory_.type(),
      {scratch->queries_.data(), static_cast<size_t>(head_dim_), kv_memory_.Keys(block, tile.layer, tile.kv_head),
       kTokensPerBlock, scratch->scores_.data(), kTokensPerBlock, rows, head_dim_, /*add_to_out=*/false});

  for (int row = 0; row < rows; ++row) {
    const int visible = tile.first_position + row / group_ + 1 - first_token;  // tokens of this block, if above 0
    const int passed = tile.window ? visible - *tile.window : 0;  // those of them before the window, if above 0
    float* scores = scratch->scores_.data() + row * kTokensPerBlock;
    if (visible <= 0 || passed >= kTokensPerBlock) {
      std::fill_n(scores, kTokensPerBlock, 0.0f);
      continue;
    }
    if (key_scales != nullptr) Multiply(key_scales, kTokensPerBlock, scores);
    if (passed > 0) std::fill_n(scores, passed, -std::numeric_limits<float>::infinity());
    const float factor = kernels_.softmax_block(scores, std::min(visible, kTokensPerBlock), &scratch->states_[row]);
    if (factor != 1.0f)
      kernels_.scale(scratch->sums_.data() + row * value_stride, factor, static_cast<int>(value_stride));
    if (value_scales != nullptr) Multiply(value_scales, tokens, scores);
  }

  for (size_t column = 0; column < value_stride; column += kPanelWidth)
    kernels_.panel_product(
        kv_memory_.type(),
        {scratch->scores_.data(), kTokensPerBlock, kv_memory_.Values(block, tile.layer, tile.kv_head, column),
         value_stride, scratch->sums_.data() + column, value_stride, rows, tokens, /*add_to_out=*/true});
}

}  // namespace embedded::cpu
