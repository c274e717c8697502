// C++ only: how large the data of a tensor is.
#ifndef NODE_TENSORRT_LLM_EXECUTOR_TENSOR_BYTES_H_
#define NODE_TENSORRT_LLM_EXECUTOR_TENSOR_BYTES_H_

#include <iterator>

#include "native/executor/cpp/failure.h"

namespace executor {

inline uint64_t TensorBytes(const ExecutorTensor& tensor) {
  constexpr uint64_t kElementBytes[] = {4, 2, 2, 1, 8, 4, 1, 1, 1};  // by ExecutorDataType
  if (tensor.rank > 4 || static_cast<size_t>(tensor.data_type) >= std::size(kElementBytes)) {
    throw Failure(EXECUTOR_FAILED, "A tensor has an unknown data type, or more than 4 dimensions. Please report this.");
  }
  uint64_t bytes = kElementBytes[tensor.data_type];
  for (uint32_t i = 0; i < tensor.rank; ++i) {
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(tensor.shape[i]), &bytes))
      throw Failure(EXECUTOR_FAILED, "A tensor is larger than any memory. Please report this.");
  }
  return bytes;
}

}  // namespace executor

#endif  // NODE_TENSORRT_LLM_EXECUTOR_TENSOR_BYTES_H_
