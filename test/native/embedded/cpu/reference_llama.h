// A Llama in double precision, written for reading: what the executor's logits are held against.
#ifndef TEST_EMBEDDED_REFERENCE_LLAMA_H_
#define TEST_EMBEDDED_REFERENCE_LLAMA_H_

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "../tiny_checkpoint.h"

namespace embedded::cpu {

using Rows = std::vector<std::vector<double>>;

class ReferenceLlama {
 public:
  // `frequencies` are the rotary ones, [head_dim / 2].
  ReferenceLlama(const TinyModel& model, std::vector<double> frequencies) : model_(model), frequencies_(frequencies) {}

  // Logits of every position: [tokens, vocab_size].
  Rows Logits(const std::vector<int32_t>& tokens) const {
    Rows hidden;
    const std::vector<float>& embedding = Tensor("transformer.vocab_embedding.weight");
    for (const int32_t token : tokens)
      hidden.emplace_back(embedding.begin() + token * model_.hidden_size,
                          embedding.begin() + (token + 1) * model_.hidden_size);
    for (int i = 0; i < model_.layers; ++i) {
      const std::string prefix = "transformer.layers." + std::to_string(i) + ".";
      Add(&hidden,
          Multiply(Attend(Multiply(Norm(hidden, prefix + "input_layernorm.weight"), prefix + "attention.qkv.weight")),
                   prefix + "attention.dense.weight"));
      const Rows normed = Norm(hidden, prefix + "post_layernorm.weight");
      Rows fc = Multiply(normed, prefix + "mlp.fc.weight");
      const Rows gate = Multiply(normed, prefix + "mlp.gate.weight");
      for (size_t t = 0; t < fc.size(); ++t)
        for (size_t c = 0; c < fc[t].size(); ++c) fc[t][c] *= gate[t][c] / (1 + std::exp(-fc[t][c]));
      Add(&hidden, Multiply(fc, prefix + "mlp.proj.weight"));
    }
    return Multiply(Norm(hidden, "transformer.ln_f.weight"),
                    model_.tied_head ? "transformer.vocab_embedding.weight" : "lm_head.weight");
  }

 private:
  const std::vector<float>& Tensor(const std::string& name) const { return model_.tensors.at(name); }

  Rows Multiply(const Rows& x, const std::string& name) const {
    const std::vector<float>& weights = Tensor(name);
    const size_t depth = x[0].size(), outputs = weights.size() / depth;
    Rows out(x.size(), std::vector<double>(outputs));
    for (size_t t = 0; t < x.size(); ++t)
      for (size_t o = 0; o < outputs; ++o)
        for (size_t d = 0; d < depth; ++d) out[t][o] += x[t][d] * weights[o * depth + d];
    return out;
  }

  Rows Norm(Rows x, const std::string& name) const {
    for (std::vector<double>& row : x) {
      double squares = 0;
      for (const double value : row) squares += value * value;
      const double factor = 1 / std::sqrt(squares / static_cast<double>(row.size()) + 1e-5);
      for (size_t i = 0; i < row.size(); ++i) row[i] *= factor * Tensor(name)[i];
    }
    return x;
  }

  static void Add(Rows* x, const Rows& y) {
    for (size_t t = 0; t < x->size(); ++t)
      for (size_t i = 0; i < (*x)[t].size(); ++i) (*x)[t][i] += y[t][i];
  }

  // The head that starts at `first` of a qkv row, turned to its position.
  std::vector<double> Rotated(const std::vector<double>& row, int first, size_t position) const {
    std::vector<double> head(row.begin() + first, row.begin() + first + model_.head_dim);
    const size_t half = head.size() / 2;
    for (size_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(position) * frequencies_[i];
      const double low = head[i], high = head[i + half];
      head[i] = low * std::cos(angle) - high * std::sin(angle);
      head[i + half] = high * std::cos(angle) + low * std::sin(angle);
    }
    return head;
  }

  Rows Attend(const Rows& qkv) const {
    const int dim = model_.head_dim, group = model_.heads / model_.kv_heads;
    Rows out(qkv.size(), std::vector<double>(static_cast<size_t>(model_.heads * dim)));
    for (size_t t = 0; t < qkv.size(); ++t)
      for (int h = 0; h < model_.heads; ++h) {
        const std::vector<double> query = Rotated(qkv[t], h * dim, t);
        std::vector<double> weights;
        for (size_t s = 0; s <= t; ++s) {
          const std::vector<double> key = Rotated(qkv[s], (model_.heads + h / group) * dim, s);
          double score = 0;
          for (int d = 0; d < dim; ++d) score += query[d] * key[d];
          weights.push_back(score / std::sqrt(dim));
        }
        const double max = *std::max_element(weights.begin(), weights.end());
        double sum = 0;
        for (double& weight : weights) sum += weight = std::exp(weight - max);
        for (size_t s = 0; s <= t; ++s)
          for (int d = 0; d < dim; ++d)
            out[t][h * dim + d] += weights[s] / sum * qkv[s][(model_.heads + model_.kv_heads + h / group) * dim + d];
      }
    return out;
  }

  const TinyModel& model_;
  std::vector<double> frequencies_;
};

}  // namespace embedded::cpu

#endif  // TEST_EMBEDDED_REFERENCE_LLAMA_H_
