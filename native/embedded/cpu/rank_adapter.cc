#include "native/embedded/cpu/rank_adapter.h"

#include <initializer_list>

#include "native/embedded/checkpoint/rank_model.h"
#include "native/embedded/cpu/float16.h"
#include "native/embedded/cpu/kernels.h"

namespace embedded::cpu {
namespace {

constexpr std::array<std::initializer_list<LoraModule>, kLoraInputs> kModules{{
    {LoraModule::kQuery, LoraModule::kKey, LoraModule::kValue},
    {LoraModule::kDense},
    {LoraModule::kFc, LoraModule::kGate},
    {LoraModule::kProj},
}};

int PanelsOf(int columns) { return (columns + kPanelWidth - 1) / kPanelWidth; }

float ValueAt(const std::byte* data, WeightType type, size_t index) {
  if (type == WeightType::kFloat32) return reinterpret_cast<const float*>(data)[index];
  const uint16_t bits = reinterpret_cast<const uint16_t*>(data)[index];
  return type == WeightType::kFloat16 ? Float16ToFloat(bits) : Bfloat16ToFloat(bits);
}

// `layer` is the whole model's.
LoraGroup GroupOf(const Adapter& adapter, const ModelConfig& whole, int rank, int layer,
                  std::initializer_list<LoraModule> modules) {
  LoraGroup group;
  for (const LoraModule module : modules) group.rank += adapter.at(layer, module).rank;
  if (group.rank == 0) return group;
  group.inputs = LoraPartOf(*modules.begin(), whole, rank).inputs;
  const size_t columns = static_cast<size_t>(group.rank);
  group.down.resize(static_cast<size_t>(group.inputs) * columns + kPanelWidth);
  int column = 0;
  LoraUp* up = group.modules.data();
  for (const LoraModule module : modules) {
    const LoraMatrices& matrices = adapter.at(layer, module);
    const LoraPart part = LoraPartOf(module, whole, rank);
    up->rank = matrices.rank;
    up->first = column;
    up->stride = static_cast<size_t>(PanelsOf(part.outputs)) * kPanelWidth;
    up->values.resize(static_cast<size_t>(matrices.rank) * up->stride);
    for (int r = 0; r < matrices.rank; ++r) {
      for (int i = 0; i < part.inputs; ++i)
        group.down[static_cast<size_t>(i) * columns + static_cast<size_t>(column + r)] = ValueAt(
            matrices.a, adapter.type,
            static_cast<size_t>(r) * static_cast<size_t>(part.all_inputs) + static_cast<size_t>(part.first_input + i));
      for (int o = 0; o < part.outputs; ++o)
        up->values[static_cast<size_t>(r) * up->stride + static_cast<size_t>(o)] = ValueAt(
            matrices.b, adapter.type,
            static_cast<size_t>(part.first_output + o) * static_cast<size_t>(matrices.rank) + static_cast<size_t>(r));
    }
    column += matrices.rank;
    ++up;
  }
  return group;
}

}  // namespace

int LoraGroup::panels() const { return PanelsOf(rank); }

RankAdapter::RankAdapter(const Adapter& adapter, const ModelConfig& whole, int rank) {
  const int count = whole.layers / whole.pp_size;
  const int first = rank / whole.tp_size * count;
  for (int layer = 0; layer < count; ++layer) {
    std::array<LoraGroup, kLoraInputs>& groups = layers.emplace_back();
    for (size_t i = 0; i < kLoraInputs; ++i) groups[i] = GroupOf(adapter, whole, rank, first + layer, kModules[i]);
  }
}

}  // namespace embedded::cpu
