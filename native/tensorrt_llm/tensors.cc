#include "native/tensorrt_llm/tensors.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "native/executor/cpp/failure.h"

namespace adapter {
namespace {

using executor::Failure;

struct TypePair {
  ExecutorDataType ours;
  tle::DataType theirs;
};
constexpr TypePair kTypes[] = {
    {DATA_TYPE_FLOAT32, tle::DataType::kFP32},  {DATA_TYPE_FLOAT16, tle::DataType::kFP16},
    {DATA_TYPE_BFLOAT16, tle::DataType::kBF16}, {DATA_TYPE_FLOAT8_E4M3, tle::DataType::kFP8},
    {DATA_TYPE_INT64, tle::DataType::kINT64},   {DATA_TYPE_INT32, tle::DataType::kINT32},
    {DATA_TYPE_INT8, tle::DataType::kINT8},     {DATA_TYPE_UINT8, tle::DataType::kUINT8},
    {DATA_TYPE_BOOL, tle::DataType::kBOOL},
};

tle::Tensor OnHost(const tle::Tensor& tensor) {
  const tle::MemoryType memory = tensor.getMemoryType();
  return memory == tle::MemoryType::kGPU || memory == tle::MemoryType::kUNKNOWN ? tensor.copyToCpu() : tensor;
}

float FloatOfBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

float FloatOfHalf(uint16_t half) {
  const uint32_t sign = (half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1F;
  const uint32_t fraction = half & 0x3FF;
  if (exponent == 0)
    return std::copysign(std::ldexp(static_cast<float>(fraction), -24), FloatOfBits(sign | 0x3F800000));
  if (exponent == 31) return FloatOfBits(sign | 0x7F800000 | fraction << 13);
  return FloatOfBits(sign | (exponent + 112) << 23 | fraction << 13);
}

}  // namespace

tle::Tensor MakeTensor(const ExecutorTensor& given) {
  const auto type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                 [&](const TypePair& pair) { return pair.ours == given.data_type; });
  if (type == std::end(kTypes) || given.rank > 4 || given.data == nullptr)
    throw Failure(EXECUTOR_INVALID_INPUT, "A tensor has data type " + std::to_string(given.data_type) + " and rank " +
                                              std::to_string(given.rank) +
                                              "; expected a known data type, at most 4 dimensions, and data.");
  tle::Tensor tensor = tle::Tensor::cpu(type->theirs, tle::Shape(given.shape, given.rank));
  std::memcpy(tensor.getData(), given.data, tensor.getSizeInBytes());
  return tensor;
}

tle::Tensor MakeVector(const std::vector<float>& values) {
  ExecutorTensor view{values.data(), DATA_TYPE_FLOAT32, 1, {static_cast<int64_t>(values.size())}};
  return MakeTensor(view);
}

executor::HostTensor CopyToHost(const tle::Tensor& tensor) {
  const tle::Tensor host = OnHost(tensor);
  const auto type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                 [&](const TypePair& pair) { return pair.theirs == host.getDataType(); });
  const auto shape = host.getShape();
  if (type == std::end(kTypes) || shape.size() > 4)
    throw Failure(EXECUTOR_UNSUPPORTED, "An output tensor has rank " + std::to_string(shape.size()) +
                                            "; expected at most 4, and a known data type. Do not request it.");
  executor::HostTensor copy{};
  const auto* data = static_cast<const uint8_t*>(host.getData());
  copy.bytes.assign(data, data + host.getSizeInBytes());
  copy.view.data = copy.bytes.data();
  copy.view.data_type = type->ours;
  copy.view.rank = static_cast<uint32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), copy.view.shape);
  return copy;
}

Logits::Logits(const tle::Tensor& tensor) : host_(OnHost(tensor)) {
  const auto shape = host_.getShape();
  shape_.assign(shape.begin(), shape.end());
  if (shape_.empty())
    throw Failure(EXECUTOR_INTERNAL, "TensorRT-LLM returned logits without a shape. Please report this.");
  columns_ = shape_.back();
  for (size_t i = 0; i + 1 < shape_.size(); ++i) rows_ *= shape_[i];
  const void* data = std::as_const(host_).getData();
  if (host_.getDataType() == tle::DataType::kFP32) {
    data_ = static_cast<const float*>(data);
    return;
  }
  const auto* words = static_cast<const uint16_t*>(data);
  converted_.resize(static_cast<size_t>(rows_ * columns_));
  if (host_.getDataType() == tle::DataType::kFP16)
    std::transform(words, words + converted_.size(), converted_.begin(), FloatOfHalf);
  else if (host_.getDataType() == tle::DataType::kBF16)
    std::transform(words, words + converted_.size(), converted_.begin(),
                   [](uint16_t word) { return FloatOfBits(uint32_t{word} << 16); });
  else
    throw Failure(EXECUTOR_UNSUPPORTED,
                  "The engine's logits have an unknown data type; expected float32, float16 or bfloat16.");
  data_ = converted_.data();
}

}  // namespace adapter
