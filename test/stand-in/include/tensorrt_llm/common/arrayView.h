#ifndef STAND_IN_TENSORRT_LLM_COMMON_ARRAY_VIEW_H_
#define STAND_IN_TENSORRT_LLM_COMMON_ARRAY_VIEW_H_

#include <cstddef>

namespace tensorrt_llm::common {

template <typename T>
class ArrayView {
 public:
  using value_type = T;
  using size_type = std::size_t;
  using reference = value_type&;
  using const_reference = value_type const&;
  using pointer = T*;
  using const_pointer = T const*;
  using iterator = pointer;
  using const_iterator = const_pointer;

  ArrayView(T* data, size_type size) : data_(data), size_(size) {}

  [[nodiscard]] iterator begin() { return data_; }
  [[nodiscard]] iterator end() { return data_ + size_; }
  [[nodiscard]] const_iterator begin() const { return data_; }
  [[nodiscard]] const_iterator end() const { return data_ + size_; }
  [[nodiscard]] const_iterator cbegin() const { return data_; }
  [[nodiscard]] const_iterator cend() const { return data_ + size_; }
  [[nodiscard]] size_type size() const { return size_; }
  [[nodiscard]] reference operator[](size_type index) { return data_[index]; }
  [[nodiscard]] const_reference operator[](size_type index) const { return data_[index]; }

 private:
  T* data_;
  size_type size_;
};

}  // namespace tensorrt_llm::common

#endif  // STAND_IN_TENSORRT_LLM_COMMON_ARRAY_VIEW_H_
