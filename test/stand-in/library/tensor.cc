#include "tensorrt_llm/executor/tensor.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "check.h"

namespace tensorrt_llm::runtime {

class CudaStream {};

// What a Tensor is a handle of.
class ITensor {
 public:
  executor::DataType data_type;
  executor::MemoryType memory_type;
  std::vector<int64_t> shape;
  std::shared_ptr<void> data;
  std::size_t bytes;
};

}  // namespace tensorrt_llm::runtime

namespace tensorrt_llm::executor {
namespace {

std::size_t BytesOf(DataType type) {
  switch (type) {
    case DataType::kINT64:
      return 8;
    case DataType::kINT32:
    case DataType::kFP32:
      return 4;
    case DataType::kBF16:
    case DataType::kFP16:
      return 2;
    default:
      return 1;
  }
}

std::shared_ptr<runtime::ITensor> Make(DataType type, MemoryType memory, const Shape& shape) {
  std::size_t count = 1;
  for (const int64_t dim : shape) count *= static_cast<std::size_t>(dim);
  return std::make_shared<runtime::ITensor>(
      runtime::ITensor{type, memory, std::vector<int64_t>(shape.begin(), shape.end()), nullptr, count * BytesOf(type)});
}

std::shared_ptr<runtime::ITensor> Allocate(DataType type, MemoryType memory, const Shape& shape) {
  auto tensor = Make(type, memory, shape);
  tensor->data = std::shared_ptr<char[]>(new char[tensor->bytes]());
  return tensor;
}

[[noreturn]] void ThrowNoDevice() { stand_in::Throw("[TensorRT-LLM][ERROR] the stand-in has no device memory"); }

}  // namespace

Tensor::Tensor(std::shared_ptr<runtime::ITensor> tensor) : tensor_(std::move(tensor)) {}

Tensor Tensor::cpu(DataType dataType, Shape shape) { return Tensor(Allocate(dataType, MemoryType::kCPU, shape)); }

Tensor Tensor::pinned(DataType dataType, Shape shape) {
  return Tensor(Allocate(dataType, MemoryType::kCPU_PINNED, shape));
}

Tensor Tensor::gpu(DataType, CudaStreamPtr, Shape) { ThrowNoDevice(); }

Tensor Tensor::of(DataType dataType, void* data, Shape shape) {
  auto tensor = Make(dataType, MemoryType::kCPU, shape);
  tensor->data = std::shared_ptr<void>(data, [](void*) {});
  return Tensor(std::move(tensor));
}

Tensor Tensor::copyToCpu(CudaStreamPtr) const {
  Tensor copy = cpu(getDataType(), getShape());
  std::memcpy(copy.getData(), getData(), getSizeInBytes());
  return copy;
}

Tensor Tensor::copyToGpu(CudaStreamPtr) const { ThrowNoDevice(); }

void* Tensor::getData() { return tensor_->data.get(); }
void const* Tensor::getData() const { return tensor_->data.get(); }
DataType Tensor::getDataType() const { return tensor_->data_type; }
MemoryType Tensor::getMemoryType() const { return tensor_->memory_type; }
Shape Tensor::getShape() const { return Shape(tensor_->shape.data(), tensor_->shape.size()); }
std::size_t Tensor::getSize() const { return tensor_->bytes / BytesOf(tensor_->data_type); }
std::size_t Tensor::getSizeInBytes() const { return tensor_->bytes; }
void Tensor::setZero(CudaStreamPtr) { std::memset(getData(), 0, getSizeInBytes()); }
void Tensor::setFrom(Tensor const& other, CudaStreamPtr) {
  std::memcpy(getData(), other.getData(), std::min(getSizeInBytes(), other.getSizeInBytes()));
}

}  // namespace tensorrt_llm::executor
