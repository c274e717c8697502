#ifndef STAND_IN_TENSORRT_LLM_EXECUTOR_TENSOR_H_
#define STAND_IN_TENSORRT_LLM_EXECUTOR_TENSOR_H_

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <type_traits>
#include <utility>

#include "tensorrt_llm/common/arrayView.h"
#include "tensorrt_llm/executor/types.h"

namespace tensorrt_llm::runtime {
class ITensor;
class CudaStream;
}  // namespace tensorrt_llm::runtime

namespace tensorrt_llm::executor {

namespace detail {
using DimType64 = int64_t;
}  // namespace detail

// Borrows its dimensions.
class Shape : public tensorrt_llm::common::ArrayView<detail::DimType64 const> {
 public:
  using Base = tensorrt_llm::common::ArrayView<detail::DimType64 const>;
  using DimType64 = typename std::remove_cv_t<Base::value_type>;

  Shape() : Base{nullptr, 0} {}
  Shape(DimType64 const* data, Base::size_type size) : Base{data, size} {}
  Shape(std::initializer_list<DimType64> dims) : Base{dims.begin(), dims.size()} {}
};

// A handle: copies share the memory. The stand-in has host memory only; what asks for a stream or a device throws.
class Tensor {
 public:
  using CudaStreamPtr = std::shared_ptr<runtime::CudaStream>;

  static Tensor cpu(DataType dataType, Shape shape = {});
  template <typename T>
  static Tensor cpu(Shape shape = {}) {
    return Tensor::cpu(getRuntimeType<T>(), shape);
  }
  [[nodiscard]] Tensor copyToCpu(Tensor::CudaStreamPtr stream = nullptr) const;

  static Tensor pinned(DataType dataType, Shape shape = {});
  template <typename T>
  static Tensor pinned(Shape shape = {}) {
    return Tensor::pinned(getRuntimeType<T>(), shape);
  }

  static Tensor gpu(DataType dataType, CudaStreamPtr stream, Shape shape = {});
  [[nodiscard]] Tensor copyToGpu(Tensor::CudaStreamPtr stream) const;

  // Borrows the data.
  static Tensor of(DataType dataType, void* data, Shape shape);
  template <typename T>
  static Tensor of(T* data, Shape shape) {
    return of(getRuntimeType<T>(), static_cast<void*>(data), shape);
  }
  template <typename T>
  static Tensor of(T& data) {
    return of(data.data(), {static_cast<Shape::DimType64>(data.size())});
  }

  Tensor() noexcept = default;
  ~Tensor() = default;
  Tensor(Tensor const& other) noexcept = default;
  Tensor(Tensor&& other) noexcept = default;
  Tensor& operator=(Tensor const& other) noexcept = default;
  Tensor& operator=(Tensor&& other) noexcept = default;

  [[nodiscard]] void* getData();
  [[nodiscard]] void const* getData() const;
  [[nodiscard]] DataType getDataType() const;
  [[nodiscard]] MemoryType getMemoryType() const;
  [[nodiscard]] Shape getShape() const;
  [[nodiscard]] std::size_t getSize() const;
  [[nodiscard]] std::size_t getSizeInBytes() const;
  void setZero(CudaStreamPtr stream = nullptr);
  void setFrom(Tensor const& other, CudaStreamPtr stream = nullptr);

  explicit operator bool() const { return static_cast<bool>(tensor_); }
  bool operator==(Tensor const& rhs) const { return tensor_ == rhs.tensor_; }
  bool operator!=(Tensor const& rhs) const { return !(rhs == *this); }

 private:
  explicit Tensor(std::shared_ptr<runtime::ITensor> tensor);

  template <typename T>
  static DataType getRuntimeType() {
    return TypeTraits<std::remove_cv_t<T>>::value;
  }

  std::shared_ptr<runtime::ITensor> tensor_;
};

}  // namespace tensorrt_llm::executor

#endif  // STAND_IN_TENSORRT_LLM_EXECUTOR_TENSOR_H_
