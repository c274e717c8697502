// C++ only: copies the size-prefixed structs of the contract (rule 2).
#ifndef NODE_TENSORRT_LLM_EXECUTOR_COPY_SIZED_H_
#define NODE_TENSORRT_LLM_EXECUTOR_COPY_SIZED_H_

#include <algorithm>
#include <cstring>

namespace executor {

// A copy of what the caller's struct has; what lies past its `size`, or all of a null group, is unset.
template <typename T>
T CopySized(const T* given) {
  T copy{};
  if (given != nullptr) std::memcpy(&copy, given, std::min<size_t>(given->size, sizeof(T)));
  return copy;
}

}  // namespace executor

#endif  // NODE_TENSORRT_LLM_EXECUTOR_COPY_SIZED_H_
