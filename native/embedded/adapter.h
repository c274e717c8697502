// A LoRA adapter (arXiv:2106.09685) as a request brings it, in TensorRT-LLM's format, checked against the model and copied.
#ifndef EMBEDDED_ADAPTER_H_
#define EMBEDDED_ADAPTER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "native/embedded/checkpoint/config.h"
#include "native/embedded/checkpoint/data_type.h"
#include "native/executor/executor.h"

namespace embedded {

// The matrices of a layer that an adapter may change.
enum class LoraModule : uint8_t { kQuery, kKey, kValue, kDense, kFc, kGate, kProj };
constexpr size_t kLoraModules = 7;
constexpr int kLargestLoraRank = 512;

// y += b (a x), scaled already. Elements of Adapter::type.
struct LoraMatrices {
  int rank = 0;                  // 0: the adapter leaves the module as it is
  const std::byte* a = nullptr;  // [rank, inputs]
  const std::byte* b = nullptr;  // [outputs, rank]
};

struct Adapter {
  uint64_t id = 0;
  uint64_t serial = 0;  // of all adapters that were ever cached this one's alone; 0: not cached
  WeightType type = WeightType::kFloat32;
  size_t values = 0;
  std::vector<std::byte> bytes;  // of the matrices, one after the other
  std::vector<std::array<LoraMatrices, kLoraModules>> layers;

  const LoraMatrices& at(int layer, LoraModule module) const {
    return layers[static_cast<size_t>(layer)][static_cast<size_t>(module)];
  }
  bool IsEqual(const Adapter& other) const;
};

// What a rank has of a module: outputs of b, where the module's rows are split, or inputs of a, where its columns are.
struct LoraPart {
  int inputs;
  int outputs;
  int first_input = 0;
  int first_output = 0;
  int all_inputs = 0;  // of the module
};
LoraPart LoraPartOf(LoraModule module, const ModelConfig& whole, int rank);

// Copies what the caller sent; null: it names a cached adapter. Throws executor::Failure about `lora` with
// EXECUTOR_INVALID_INPUT, or EXECUTOR_UNSUPPORTED for what only TensorRT-LLM runs.
std::shared_ptr<Adapter> ReadAdapter(const ExecutorLora& given, const ModelConfig& model, int max_rank);

}  // namespace embedded

#endif  // EMBEDDED_ADAPTER_H_
