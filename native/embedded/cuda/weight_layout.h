// Where every weight of a model lies in the GPU's memory, and which tensors of the checkpoint it is made from.
#ifndef EMBEDDED_CUDA_WEIGHT_LAYOUT_H_
#define EMBEDDED_CUDA_WEIGHT_LAYOUT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "native/embedded/checkpoint/safetensors.h"
#include "native/embedded/cuda/linear.h"
#include "native/embedded/cuda/weights.h"

namespace embedded::cuda {

// A tensor that becomes elements: rows of the file lie `pitch` apart in memory.
struct ElementsPart {
  std::string name;
  std::vector<int64_t> shape;
  size_t offset;  // bytes in LlamaWeights::memory
  size_t first;   // element of the tensor
  size_t count;   // elements
  size_t width;   // elements of a row
  size_t pitch;   // elements
  const void** pointer;
  uint32_t number;      // among the tensors of the model
  std::string factors;  // a tensor that it is multiplied by, value by value; empty: none

  size_t bytes() const { return count / width * pitch * kElementBytes; }
};

// Rows of a matrix that is packed, which lie one below the other.
struct MatrixRows {
  std::string module;  // "transformer.layers.0.mlp.fc": its tensors' names begin so
  int tensor_rows;
  int first_row;  // of the tensor
  int rows;
  uint32_t number;                         // among the tensors of the model
  WeightType type = WeightType::kFloat32;  // of ggml's blocks, where the model has them
};

struct PackedMatrix {
  int outputs;
  int depth;
  WeightForm form;
  std::vector<MatrixRows> parts;
  size_t offset;  // bytes in LlamaWeights::memory
  MatrixWeights* matrix;

  size_t bytes() const { return PackedShape(outputs, depth).bytes(form); }
  size_t element_bytes() const { return kElementBytes * static_cast<size_t>(outputs) * static_cast<size_t>(depth); }
};

struct WeightLayout {
  std::vector<ElementsPart> elements;
  std::vector<PackedMatrix> packed;
  size_t bytes = 0;
};

// Its pointers are those of `weights`, which gets its layers. Every tensor of `file` is looked at: throws executor::Failure for one that
// is missing or wrong, and with EXECUTOR_MODEL_UNSUPPORTED for what the kernels cannot do. Without a file a quantized model's
// matrices are all quantized.
WeightLayout LayOutWeights(const SafetensorsFile* file, const ModelConfig& model, KvType kv_type,
                           LlamaWeights* weights);

// The part's tensor: floats, or blocks where the model has them.
const TensorEntry& FindElements(const SafetensorsFile& file, const ModelConfig& model, const ElementsPart& part);

// The tensor of one number, which may have no dimension or one.
const TensorEntry& FindNumber(const SafetensorsFile& file, const std::string& name);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_WEIGHT_LAYOUT_H_
