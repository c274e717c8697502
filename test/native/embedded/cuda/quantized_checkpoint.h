// Tiny checkpoints in TensorRT-LLM's quantized forms, and plain ones of the same weights.
#ifndef TEST_NATIVE_EMBEDDED_CUDA_QUANTIZED_CHECKPOINT_H_
#define TEST_NATIVE_EMBEDDED_CUDA_QUANTIZED_CHECKPOINT_H_

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "../tiny_checkpoint.h"

namespace embedded {

struct QuantizedCheckpoint {
  struct Tensor {
    std::string dtype;
    std::vector<int> shape;
    std::string bytes;
  };
  struct Options {
    std::string algo;
    int group_size = 128;
    bool has_zero_point = false;
    bool pre_quant_scale = false;
  };

  TinyModel plain;  // float32, of what the quantized weights mean
  std::map<std::string, Tensor> tensors;
  std::string config;

  QuantizedCheckpoint(const TinyModel& model, const Options& options) : plain(model), options_(options), model_(model) {
    plain.dtype = "float32";
    for (const auto& [name, values] : model.tensors) {
      const std::string module = name.substr(0, name.rfind('.'));
      if (IsQuantized(name, module))
        Quantize(module, model.shapes.at(name), &plain.tensors[name]);
      else
        tensors[name] = {model.dtype == "float16" ? "F16" : "BF16", model.shapes.at(name), Halves(values, model.dtype)};
    }
    config = model.ConfigJson();
    const std::string before = "\"pretrained_config\": {";
    const std::string flags = std::string(", \"has_zero_point\": ") + (options.has_zero_point ? "true" : "false") +
                              ", \"pre_quant_scale\": " + (options.pre_quant_scale ? "true" : "false");
    config.insert(config.find(before) + before.size(), "\"quantization\": {\"quant_algo\": \"" + options.algo +
                                                           "\", \"group_size\": " + std::to_string(options.group_size) +
                                                           flags + "}, ");
  }

  void Write(const std::string& directory) const {
    std::string header = "{\"__metadata__\": {\"format\": \"pt\"}", data;
    for (const auto& [name, tensor] : tensors) {
      std::string sizes;
      for (const int size : tensor.shape) sizes += (sizes.empty() ? "" : ",") + std::to_string(size);
      header += ", \"" + name + "\": {\"dtype\": \"" + tensor.dtype + "\", \"shape\": [" + sizes +
                "], \"data_offsets\": [" + std::to_string(data.size()) + ", " +
                std::to_string(data.size() + tensor.bytes.size()) + "]}";
      data += tensor.bytes;
    }
    WriteFile(directory + "/config.json", config);
    WriteFile(directory + "/rank0.safetensors", TinyModel::SafetensorsOf(header + "}", data));
  }

 private:
  bool IsQuantized(const std::string& name, const std::string& module) const {
    if (name != module + ".weight") return false;
    const auto ends = [&](const char* part) {
      return module.size() > std::strlen(part) && module.rfind(part) == module.size() - std::strlen(part);
    };
    const bool is_mlp = ends("mlp.fc") || ends("mlp.gate") || ends("mlp.proj");
    if (options_.algo == "FP8_PER_CHANNEL_PER_TOKEN") return is_mlp;
    return is_mlp || ends("attention.qkv") || ends("attention.dense");
  }

  static std::string Halves(const std::vector<float>& values, const std::string& dtype) {
    std::string bytes;
    for (const float value : values) {
      const uint16_t half = dtype == "float16" ? ToFloat16(value) : ToBfloat16(value);
      bytes.append(reinterpret_cast<const char*>(&half), sizeof(half));
    }
    return bytes;
  }
  static std::string Floats(const std::vector<float>& values) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
  }
  static float E4m3(int bits) {
    const int exponent = bits >> 3 & 15;
    const float value = exponent == 0 ? std::ldexp(static_cast<float>(bits & 7), -9)
                                      : std::ldexp(static_cast<float>(8 + (bits & 7)), exponent - 10);
    return bits & 0x80 ? -value : value;
  }

  // Writes the module's tensors and makes `weights` what they mean.
  void Quantize(const std::string& module, const std::vector<int>& shape, std::vector<float>* weights) {
    if (options_.algo == "W8A16" || options_.algo == "W4A16") return QuantizeAtLoad(module, shape, weights);
    if (options_.algo == "W4A16_AWQ") return QuantizeAwq(module, shape, weights);
    QuantizeFp8(module, shape, weights);
  }

  void QuantizeAtLoad(const std::string& module, const std::vector<int>& shape, std::vector<float>* weights) {
    tensors[module + ".weight"] = {model_.dtype == "float16" ? "F16" : "BF16", shape, Halves(*weights, model_.dtype)};
    const float half = options_.algo == "W8A16" ? 128 : 8;
    const size_t depth = static_cast<size_t>(shape[1]);
    for (size_t at = 0; at < weights->size(); at += depth) {
      float largest = 0;
      for (size_t k = 0; k < depth; ++k) largest = std::max(largest, std::abs((*weights)[at + k]));
      const float scale = largest / half;
      for (size_t k = 0; k < depth; ++k) {
        float& w = (*weights)[at + k];
        w = std::clamp(std::round(w / scale), -half, half - 1) * scale;
      }
    }
  }

  void QuantizeAwq(const std::string& module, const std::vector<int>& shape, std::vector<float>* weights) {
    const size_t rows = static_cast<size_t>(shape[0]), depth = static_cast<size_t>(shape[1]);
    const size_t group_size = static_cast<size_t>(options_.group_size);
    const size_t groups = depth / group_size;
    std::vector<float> scales, zeros(groups * rows), factors(depth, 1);
    std::string pairs(rows / 2 * depth, 0);
    if (options_.pre_quant_scale)  // fc and gate have the same ones
      for (size_t k = 0; k < depth; ++k) factors[k] = 0.5f + 0.25f * static_cast<float>(k % 7);
    for (size_t row = 0; row < rows; ++row)
      for (size_t group = 0; group < groups; ++group) {
        float* const w = weights->data() + row * depth + group * group_size;
        const float largest =
            std::abs(*std::max_element(w, w + group_size, [](float a, float b) { return std::abs(a) < std::abs(b); }));
        const float scale = Rounded(largest / 6, "float16");
        const float shift = options_.has_zero_point ? static_cast<float>((row + group) % 4) - 1 : 0;
        const float zero = Rounded(shift * scale, model_.dtype);
        scales.push_back(scale);
        zeros[group * rows + row] = zero;
        for (size_t k = 0; k < group_size; ++k) {
          const int q = static_cast<int>(std::clamp(std::round((w[k] - zero) / scale), -8.0f, 7.0f));
          char& pair = pairs[row / 2 * depth + group * group_size + k];
          pair = static_cast<char>(pair | (q & 15) << (row % 2 == 0 ? 0 : 4));
          w[k] = (static_cast<float>(q) * scale + zero) * factors[group * group_size + k];
        }
      }
    tensors[module + ".weight"] = {"I8", {shape[0] / 2, shape[1]}, pairs};
    tensors[module + ".weights_scaling_factor"] = {
        "F16", {shape[0], static_cast<int>(groups)}, Halves(scales, "float16")};
    if (options_.has_zero_point)
      tensors[module + ".zero"] = {model_.dtype == "float16" ? "F16" : "BF16",
                                   {static_cast<int>(groups), shape[0]},
                                   Halves(zeros, model_.dtype)};
    if (options_.pre_quant_scale) tensors[module + ".prequant_scaling_factor"] = {"F32", {shape[1]}, Floats(factors)};
  }

  void QuantizeFp8(const std::string& module, const std::vector<int>& shape, std::vector<float>* weights) {
    const bool by_row = options_.algo == "FP8_PER_CHANNEL_PER_TOKEN";
    const size_t depth = by_row ? static_cast<size_t>(shape[1]) : weights->size();
    std::vector<float> scales;
    std::string bytes;
    for (size_t at = 0; at < weights->size(); at += depth) {
      float largest = 0;
      for (size_t k = 0; k < depth; ++k) largest = std::max(largest, std::abs((*weights)[at + k]));
      scales.push_back(largest / 448);
      for (size_t k = 0; k < depth; ++k) {
        float& w = (*weights)[at + k];
        int nearest = 0;
        for (int bits = 0; bits < 256; ++bits)
          if ((bits & 0x7f) != 0x7f &&
              std::abs(E4m3(bits) - w / scales.back()) < std::abs(E4m3(nearest) - w / scales.back()))
            nearest = bits;
        bytes.push_back(static_cast<char>(nearest));
        w = E4m3(nearest) * scales.back();
      }
    }
    tensors[module + ".weight"] = {"F8_E4M3", shape, bytes};
    const std::vector<int> scale_shape = by_row ? std::vector<int>{shape[0]} : std::vector<int>{1};
    tensors[module + (by_row ? ".per_channel_scale" : ".weights_scaling_factor")] = {"F32", scale_shape,
                                                                                     Floats(scales)};
  }

  Options options_;
  const TinyModel& model_;
};

}  // namespace embedded

#endif  // TEST_NATIVE_EMBEDDED_CUDA_QUANTIZED_CHECKPOINT_H_
