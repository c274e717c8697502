// A small random Llama whose matrices are in ggml's blocks, of every type.
#ifndef TEST_EMBEDDED_TINY_BLOCKS_H_
#define TEST_EMBEDDED_TINY_BLOCKS_H_

#include <cmath>
#include <string>
#include <vector>

#include "../tiny_checkpoint.h"
#include "native/embedded/cpu/float16.h"
#include "native/embedded/cpu/kernels.h"

namespace embedded::cpu {

// Where a block's scale and min are, and the min that lets its weights be around 0 where the scale is 1.
struct BlockScales {
  WeightType type;
  int scale_at;
  int min_at;  // below 0: it has none
  float min;
};
constexpr BlockScales kBlockScales[] = {{WeightType::kQ4_0, 0, -1, 0},    {WeightType::kQ4_1, 0, 2, -7.5f},
                                        {WeightType::kQ5_0, 0, -1, 0},    {WeightType::kQ5_1, 0, 2, -15.5f},
                                        {WeightType::kQ8_0, 0, -1, 0},    {WeightType::kQ2_K, 80, 82, 1.5f},
                                        {WeightType::kQ3_K, 108, -1, 0},  {WeightType::kQ4_K, 0, 2, 7.5f},
                                        {WeightType::kQ5_K, 0, 2, 15.5f}, {WeightType::kQ6_K, 208, -1, 0}};

// Random rows of a type whose weights are about `spread` from 0, and what they decode to.
inline std::string RandomBlocks(const BlockScales& of, int rows, int depth, float spread, uint32_t seed,
                                std::vector<float>* weights) {
  const Layout& layout = kScalarKernels.layout(of.type);
  const size_t block_bytes = static_cast<size_t>(BlockOf(of.type).bytes), row_bytes = RowBytes(of.type, depth);
  std::mt19937 random(seed);
  std::string bytes(rows * row_bytes, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random() >> 24);
  const auto set_scales = [&](float scale) {
    for (size_t block = 0; block < bytes.size(); block += block_bytes) {
      const uint16_t halves[] = {FloatToFloat16(scale), FloatToFloat16(scale * of.min)};
      std::memcpy(&bytes[block + of.scale_at], &halves[0], sizeof(uint16_t));
      if (of.min_at >= 0) std::memcpy(&bytes[block + of.min_at], &halves[1], sizeof(uint16_t));
    }
  };
  const auto decode = [&] {
    weights->assign(static_cast<size_t>(rows) * depth, 0);
    for (int row = 0; row < rows; ++row) {
      std::vector<std::byte> panel(layout.panel_bytes(depth));
      layout.pack(&bytes[row * row_bytes], 1, depth, panel.data());
      layout.unpack(panel.data(), 0, depth, weights->data() + static_cast<size_t>(row) * depth);
    }
  };
  set_scales(1);
  decode();
  double squares = 0;
  for (const float weight : *weights) squares += double{weight} * weight;
  set_scales(spread / static_cast<float>(std::sqrt(squares / static_cast<double>(weights->size()))));
  decode();
  return bytes;
}

inline TinyModel BlockModel() {
  TinyModel model;
  model.hidden_size = 256;
  model.heads = 8;
  model.kv_heads = 2;
  model.head_dim = 32;
  model.intermediate_size = 512;
  model.tied_head = false;
  model.qkv_apart = true;
  model.Fill();
  uint32_t next = 0;
  const auto add = [&](const std::string& name, int rows, int depth, std::vector<float>* weights) {
    const BlockScales& scales = kBlockScales[next++ % std::size(kBlockScales)];
    const float spread = 1 / std::sqrt(static_cast<float>(depth));
    model.blocks[name] = {BlockOf(scales.type).type, RandomBlocks(scales, rows, depth, spread, next, weights)};
  };
  for (auto& [name, weights] : model.tensors) {
    const std::vector<int>& shape = model.shapes.at(name);
    if (shape.size() < 2) continue;
    const std::string fused = "qkv.weight";
    if (name.size() < fused.size() || name.substr(name.size() - fused.size()) != fused) {
      add(name, shape[0], shape[1], &weights);
      continue;
    }
    weights.clear();
    for (const char* part : {"q", "k", "v"}) {
      std::vector<float> rows;
      add(name.substr(0, name.size() - fused.size()) + part + ".weight",
          (*part == 'q' ? model.heads : model.kv_heads) * model.head_dim, shape[1], &rows);
      weights.insert(weights.end(), rows.begin(), rows.end());
    }
  }
  return model;
}

}  // namespace embedded::cpu

#endif  // TEST_EMBEDDED_TINY_BLOCKS_H_
