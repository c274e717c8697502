// What a rank has of a LoRA adapter, as the kernels of floats read it.
#ifndef EMBEDDED_CPU_RANK_ADAPTER_H_
#define EMBEDDED_CPU_RANK_ADAPTER_H_

#include <array>
#include <cstddef>
#include <vector>

#include "native/embedded/adapter.h"
#include "native/embedded/checkpoint/config.h"

namespace embedded::cpu {

// The matrices of a layer by what they read; Llama multiplies those of one input together, in this order.
enum class LoraInput { kQkv, kDense, kFcGate, kProj };
constexpr size_t kLoraInputs = 4;
constexpr size_t kLoraModulesOfInput = 3;  // at most

// y += up^T (down^T x)
struct LoraUp {
  int rank = 0;  // 0: the adapter leaves the module as it is
  int first;     // of the group's columns
  size_t stride;
  std::vector<float> values;  // [rank, stride], which is the module's outputs rounded up to whole panels
};
struct LoraGroup {
  int rank = 0;  // of all its modules together
  int inputs = 0;
  std::vector<float> down;  // [inputs, rank]; a panel from any column of the last row on can be read
  std::array<LoraUp, kLoraModulesOfInput> modules;

  int panels() const;
};

struct RankAdapter {
  std::vector<std::array<LoraGroup, kLoraInputs>> layers;  // of the rank's stage

  RankAdapter(const Adapter& adapter, const ModelConfig& whole, int rank);
  const LoraGroup& at(int layer, LoraInput input) const {
    return layers[static_cast<size_t>(layer)][static_cast<size_t>(input)];
  }
};

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_RANK_ADAPTER_H_
