// The quantized matrices of a checkpoint in TensorRT-LLM's forms, which `Quantization` of lib/engine/directory/quantization.ts
// describes.
#ifndef EMBEDDED_CPU_SCALED_TENSOR_H_
#define EMBEDDED_CPU_SCALED_TENSOR_H_

#include <optional>
#include <string>
#include <vector>

#include "native/embedded/checkpoint/config.h"
#include "native/embedded/checkpoint/safetensors.h"
#include "native/embedded/cpu/kernels.h"

namespace embedded::cpu {

// Borrows the file. Pack is for several threads at once.
class ScaledTensor {
 public:
  // Of X.weight [rows, depth], with what lies beside it; nothing if it stays as it is. Throws executor::Failure that names
  // the tensor.
  static std::optional<ScaledTensor> Find(const SafetensorsFile& file, const Quantization& quantization,
                                          const std::string& name, int rows, int depth);

  ScaledType type() const { return type_; }
  // Reads what all rows need and lies apart; Done forgets it again.
  void Begin();
  void Done();
  // Reads `count` rows from `first` on into a panel, which is 0.
  void Pack(int first, int count, const Layout& layout, void* panel) const;

 private:
  ScaledTensor(const SafetensorsFile& file, const std::string& name, int rows, int depth)
      : file_(&file), name_(name), rows_(rows), depth_(depth) {}
  void FindInt4(const Quantization& quantization);
  void FindFp8(const Quantization& quantization);
  // A tensor beside the matrix.
  const TensorEntry& Beside(const char* name, const std::vector<int64_t>& shape) const;
  std::vector<float> ReadFloats(const TensorEntry& tensor, size_t first, size_t count) const;
  void RoundRows(int first, int count, std::vector<int8_t>* codes, std::vector<float>* scales) const;
  void ReadInt4(int first, int count, std::vector<int8_t>* codes) const;
  void ReadGroups(int first, int count, std::vector<float>* scales, std::vector<float>* zeros) const;

  const SafetensorsFile* file_;
  std::string name_;
  int rows_;
  int depth_;
  ScaledType type_ = ScaledType::kInt8;
  bool rounds_ = false;  // plain weights, which become int8 or int4 here
  const TensorEntry* weight_ = nullptr;
  const TensorEntry* scales_ = nullptr;
  const TensorEntry* zero_ = nullptr;     // [groups, rows]
  const TensorEntry* factors_ = nullptr;  // [depth]
  int groups_ = 1;                        // as stored
  int repeats_ = 1;                       // groups of the type in one of these
  std::vector<float> zeros_;              // between Begin and Done, as the next
  std::vector<float> factor_values_;
};

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_SCALED_TENSOR_H_
