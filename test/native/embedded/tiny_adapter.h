// Small random LoRA adapters in TensorRT-LLM's format, and models with them merged into their weights.
#ifndef TEST_EMBEDDED_TINY_ADAPTER_H_
#define TEST_EMBEDDED_TINY_ADAPTER_H_

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "native/executor/executor.h"
#include "tiny_checkpoint.h"

namespace embedded {

enum TensorRtModule { kAttnQ = 1, kAttnK, kAttnV, kAttnDense, kMlpHTo4H, kMlp4HToH, kMlpGate };

struct TinyAdapter {
  struct Row {
    int module;
    int layer;
    int rank;
  };
  std::vector<Row> rows;
  std::vector<std::vector<float>> values;  // by row: A [rank, inputs], then B [outputs, rank]
  std::vector<float> weights;              // [rows, width]
  std::vector<int32_t> config;             // [rows, 3]
  ExecutorTensor weights_tensor{};
  ExecutorTensor config_tensor{};
  ExecutorLora lora{};

  // Of every module of the model, with ranks from `rank` up that differ.
  TinyAdapter(const TinyModel& model, uint64_t id, int rank, uint32_t seed, float spread = 0.3f) {
    std::mt19937 random(seed);
    size_t width = 0;
    for (int layer = 0; layer < model.layers; ++layer)
      for (int module = kAttnQ; module <= kMlpGate; ++module) {
        const Row& row = rows.emplace_back(Row{module, layer, rank + (module + layer) % 3});
        std::vector<float>& of =
            values.emplace_back(static_cast<size_t>(row.rank * (InputsOf(model, module) + OutputsOf(model, module))));
        for (float& value : of) value = spread * (static_cast<float>(random() >> 8) * 0x1p-23f - 1);
        width = std::max(width, of.size());
      }
    for (size_t i = 0; i < rows.size(); ++i) {
      weights.insert(weights.end(), values[i].begin(), values[i].end());
      weights.resize((i + 1) * width);
      config.insert(config.end(), {rows[i].module, rows[i].layer, rows[i].rank});
    }
    const int64_t count = static_cast<int64_t>(rows.size());
    weights_tensor = {weights.data(), DATA_TYPE_FLOAT32, 2, {count, static_cast<int64_t>(width)}};
    config_tensor = {config.data(), DATA_TYPE_INT32, 2, {count, 3}};
    lora.size = sizeof(lora);
    lora.id = id;
    lora.weights = &weights_tensor;
    lora.config = &config_tensor;
  }
  TinyAdapter(const TinyAdapter&) = delete;
  TinyAdapter& operator=(const TinyAdapter&) = delete;

  ExecutorLora ById() const {
    ExecutorLora named = lora;
    named.weights = named.config = nullptr;
    return named;
  }

  TinyModel Merged(const TinyModel& model) const {
    TinyModel merged = model;
    for (size_t i = 0; i < rows.size(); ++i) {
      const Row& row = rows[i];
      const int inputs = InputsOf(model, row.module), outputs = OutputsOf(model, row.module);
      static constexpr const char* kNames[] = {"attention.qkv",   "attention.qkv", "attention.qkv", "attention.qkv",
                                               "attention.dense", "mlp.fc",        "mlp.proj",      "mlp.gate"};
      std::vector<float>& matrix =
          merged.tensors.at("transformer.layers." + std::to_string(row.layer) + "." + kNames[row.module] + ".weight");
      const int q_rows = model.heads * model.head_dim, k_rows = model.kv_heads * model.head_dim;
      const int first = row.module == kAttnK ? q_rows : row.module == kAttnV ? q_rows + k_rows : 0;
      const float* const a = values[i].data();
      const float* const b = a + row.rank * inputs;
      for (int out = 0; out < outputs; ++out)
        for (int in = 0; in < inputs; ++in) {
          double sum = 0;
          for (int r = 0; r < row.rank; ++r) sum += double{b[out * row.rank + r]} * a[r * inputs + in];
          matrix[static_cast<size_t>(first + out) * inputs + in] += static_cast<float>(sum);
        }
    }
    return merged;
  }

  static int InputsOf(const TinyModel& model, int module) {
    if (module == kAttnDense) return model.heads * model.head_dim;
    return module == kMlp4HToH ? model.intermediate_size : model.hidden_size;
  }
  static int OutputsOf(const TinyModel& model, int module) {
    if (module == kAttnQ) return model.heads * model.head_dim;
    if (module == kAttnK || module == kAttnV) return model.kv_heads * model.head_dim;
    return module == kMlpHTo4H || module == kMlpGate ? model.intermediate_size : model.hidden_size;
  }
};

}  // namespace embedded

#endif  // TEST_EMBEDDED_TINY_ADAPTER_H_
