// The safetensors format: 8 bytes of header length, a JSON header, the tensors back to back.
#ifndef EMBEDDED_SAFETENSORS_H_
#define EMBEDDED_SAFETENSORS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "native/embedded/checkpoint/data_type.h"

namespace embedded {

struct TensorEntry {
  std::string dtype;           // F32, F16, BF16 or another that the format knows
  std::string blocks;          // of U8: the type of ggml's blocks in it, which __metadata__ has under the tensor's name
  std::vector<int64_t> shape;  // row-major
  uint64_t offset;             // bytes from the file's start
  uint64_t bytes;
};

// An open file whose header was checked as a whole: every tensor lies in the file, has the bytes its shape and type
// need, and shares none with another. Reads are positioned, so several threads may read at once, and a file that is cut
// off later is an error rather than the SIGBUS a mapping would give.
class SafetensorsFile {
 public:
  // Throws executor::Failure EXECUTOR_ENGINE_RANKS (no such file) or EXECUTOR_ENGINE_WEIGHTS, naming the file and the
  // tensor.
  explicit SafetensorsFile(const std::string& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::string& path() const { return path_; }
  bool Has(const std::string& name) const { return tensors_.count(name) != 0; }
  // As files name it; empty if there is no such tensor.
  std::string TypeNameOf(const std::string& name) const { return Has(name) ? tensors_.at(name).dtype : ""; }
  bool IsScalar(const std::string& name) const { return Has(name) && tensors_.at(name).shape.empty(); }
  // The tensor, which must have this shape and one of these types.
  const TensorEntry& Find(const std::string& name, const std::vector<int64_t>& shape,
                          const std::vector<std::string>& dtypes = {"F32", "F16", "BF16"}) const;
  // A matrix of weights [outputs, depth]: floats, or U8 with the blocks of each row.
  const TensorEntry& FindMatrix(const std::string& name, int outputs, int depth) const;
  // Of what Find or FindMatrix gave as weights.
  static WeightType TypeOf(const TensorEntry& tensor);
  // Reads `bytes` bytes from `offset` of the tensor on.
  void Read(const TensorEntry& tensor, uint64_t offset, uint64_t bytes, void* out) const;

 private:
  void ReadHeader();
  void ReadAt(uint64_t offset, uint64_t bytes, void* out) const;
  [[noreturn]] void Fail(const std::string& what) const;

  std::string path_;
  int descriptor_;
  uint64_t file_bytes_ = 0;
  std::map<std::string, TensorEntry> tensors_;
};

}  // namespace embedded

#endif  // EMBEDDED_SAFETENSORS_H_
