// Tensors of the contract and of TensorRT-LLM. Both ways they are copied: neither side keeps the other's memory alive.
#ifndef ADAPTER_TENSORS_H_
#define ADAPTER_TENSORS_H_

#include <cstdint>
#include <vector>

#include "native/executor/cpp/batch_row.h"
#include "native/tensorrt_llm/features.h"

namespace adapter {

// In host memory. Throws executor::Failure with EXECUTOR_INVALID_INPUT for a data type or rank it cannot have.
tle::Tensor MakeTensor(const ExecutorTensor& given);
// fp32 in host memory, of one dimension.
tle::Tensor MakeVector(const std::vector<float>& values);

executor::HostTensor CopyToHost(const tle::Tensor& tensor);

// Rows of logits in fp32, [rows, columns], whatever the library gave: any data type, leading dimensions flattened.
class Logits {
 public:
  explicit Logits(const tle::Tensor& tensor);
  int64_t rows() const { return rows_; }
  int64_t dimension(size_t index) const { return shape_[index]; }
  size_t rank() const { return shape_.size(); }
  const float* row(int64_t index) const { return data_ + index * columns_; }

 private:
  tle::Tensor host_;
  std::vector<float> converted_;  // empty: data_ is host_'s
  std::vector<int64_t> shape_;
  const float* data_ = nullptr;
  int64_t rows_ = 1;
  int64_t columns_ = 0;
};

}  // namespace adapter

#endif  // ADAPTER_TENSORS_H_
