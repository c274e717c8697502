#include "native/embedded/cpu/scaled_tensor.h"

#include <algorithm>
#include <cmath>

#include "native/embedded/cpu/float16.h"
#include "native/embedded/cpu/scaled_layout.h"
#include "native/executor/cpp/failure.h"

namespace embedded::cpu {
namespace {

const std::vector<std::string> kFloats = {"F32", "F16", "BF16"};

ScaledType Int4Type(int group_size, bool has_factors) {
  switch (group_size) {
    case 128:
      return has_factors ? ScaledType::kInt4By128Factors : ScaledType::kInt4By128;
    case 64:
      return has_factors ? ScaledType::kInt4By64Factors : ScaledType::kInt4By64;
    default:
      return has_factors ? ScaledType::kInt4By32Factors : ScaledType::kInt4By32;
  }
}

}  // namespace

std::optional<ScaledTensor> ScaledTensor::Find(const SafetensorsFile& file, const Quantization& quantization,
                                               const std::string& name, int rows, int depth) {
  ScaledTensor tensor(file, name, rows, depth);
  const std::string dtype = file.TypeNameOf(name);
  const bool is_plain = std::find(kFloats.begin(), kFloats.end(), dtype) != kFloats.end();
  switch (quantization.algo) {
    case QuantAlgo::kW8A16:
    case QuantAlgo::kW4A16:
      tensor.rounds_ = true;
      tensor.type_ = quantization.algo == QuantAlgo::kW8A16 ? ScaledType::kInt8 : ScaledType::kInt4;
      tensor.weight_ = &file.Find(name, {rows, depth});
      return tensor;
    case QuantAlgo::kW4A16Awq:
      if (is_plain) return std::nullopt;
      tensor.FindInt4(quantization);
      return tensor;
    case QuantAlgo::kFp8:
    case QuantAlgo::kFp8PerChannelPerToken:
      if (is_plain) return std::nullopt;
      tensor.FindFp8(quantization);
      return tensor;
    default:
      return std::nullopt;
  }
}

void ScaledTensor::FindInt4(const Quantization& quantization) {
  const int group_size = quantization.group_size;
  if (depth_ % group_size != 0 || rows_ % 2 != 0)
    throw executor::Failure(EXECUTOR_ENGINE_WEIGHTS,
                            file_->path() + " cannot have " + name_ + " of " + std::to_string(rows_) + " outputs and " +
                                std::to_string(depth_) + " inputs in int4; expected an even number of outputs and " +
                                "whole groups of " + std::to_string(group_size) + " inputs. Convert the model again.");
  weight_ = &file_->Find(name_, {rows_ / 2, depth_}, {"I8", "U8"});
  groups_ = depth_ / group_size;
  scales_ = &Beside("weights_scaling_factor", {rows_, groups_});
  if (quantization.has_zero_point) zero_ = &Beside("zero", {groups_, rows_});
  if (quantization.pre_quant_scale) factors_ = &Beside("prequant_scaling_factor", {depth_});
  type_ = Int4Type(group_size, factors_ != nullptr);
  repeats_ = group_size / GroupSize(type_, depth_);
}

void ScaledTensor::FindFp8(const Quantization& quantization) {
  weight_ = &file_->Find(name_, {rows_, depth_}, {"F8_E4M3", "I8", "U8"});
  type_ = ScaledType::kFp8;
  if (quantization.algo == QuantAlgo::kFp8PerChannelPerToken) {
    scales_ = &Beside("per_channel_scale", {rows_});
    return;
  }
  const std::string scale = name_.substr(0, name_.rfind('.')) + ".weights_scaling_factor";
  scales_ = &file_->Find(scale, file_->IsScalar(scale) ? std::vector<int64_t>{} : std::vector<int64_t>{1}, kFloats);
}

const TensorEntry& ScaledTensor::Beside(const char* name, const std::vector<int64_t>& shape) const {
  return file_->Find(name_.substr(0, name_.rfind('.') + 1) + name, shape, kFloats);
}

void ScaledTensor::Begin() {
  if (zero_ != nullptr) zeros_ = ReadFloats(*zero_, 0, static_cast<size_t>(groups_) * rows_);
  if (factors_ != nullptr) factor_values_ = ReadFloats(*factors_, 0, static_cast<size_t>(depth_));
}

void ScaledTensor::Done() {
  zeros_ = {};
  factor_values_ = {};
}

void ScaledTensor::Pack(int first, int count, const Layout& layout, void* panel) const {
  std::vector<int8_t> codes(static_cast<size_t>(count) * depth_);
  std::vector<float> scales;
  std::vector<float> zeros;
  if (rounds_) {
    RoundRows(first, count, &codes, &scales);
  } else if (type_ == ScaledType::kFp8) {
    file_->Read(*weight_, static_cast<size_t>(first) * depth_, codes.size(), codes.data());
    if (std::any_of(codes.begin(), codes.end(), [](int8_t code) { return (code & 0x7F) == 0x7F; }))
      throw executor::Failure(EXECUTOR_ENGINE_WEIGHTS, file_->path() + " has NaN in tensor " + name_ +
                                                           "; expected numbers. Convert the model again.");
    const bool by_row = !scales_->shape.empty() && scales_->shape[0] == rows_ && rows_ > 1;
    scales = ReadFloats(*scales_, by_row ? static_cast<size_t>(first) : 0, by_row ? static_cast<size_t>(count) : 1);
    scales.resize(static_cast<size_t>(count), scales[0]);
  } else {
    ReadInt4(first, count, &codes);
    ReadGroups(first, count, &scales, &zeros);
  }
  const ScaledRows rows{codes.data(), scales.data(), zeros.empty() ? nullptr : zeros.data(),
                        factors_ == nullptr ? nullptr : factor_values_.data()};
  layout.pack(&rows, count, depth_, panel);
}

// As TensorRT-LLM does it when it builds an engine.
void ScaledTensor::RoundRows(int first, int count, std::vector<int8_t>* codes, std::vector<float>* scales) const {
  const std::vector<float> weights =
      ReadFloats(*weight_, static_cast<size_t>(first) * depth_, static_cast<size_t>(count) * depth_);
  const float largest = type_ == ScaledType::kInt8 ? 128.0f : 8.0f;
  for (int row = 0; row < count; ++row) {
    const float* const from = weights.data() + static_cast<size_t>(row) * depth_;
    float most = 0;
    for (int d = 0; d < depth_; ++d) most = std::max(most, std::abs(from[d]));
    const float scale = most / largest;
    scales->push_back(scale);
    if (!(scale > 0)) continue;
    int8_t* const to = codes->data() + static_cast<size_t>(row) * depth_;
    for (int d = 0; d < depth_; ++d)  // a NaN becomes the least value
      to[d] = static_cast<int8_t>(std::max(-largest, std::min(largest - 1, std::round(from[d] / scale))));
  }
}

void ScaledTensor::ReadInt4(int first, int count, std::vector<int8_t>* codes) const {
  const int first_pair = first / 2;
  const int pairs = (first + count + 1) / 2 - first_pair;
  std::vector<uint8_t> bytes(static_cast<size_t>(pairs) * depth_);
  file_->Read(*weight_, static_cast<size_t>(first_pair) * depth_, bytes.size(), bytes.data());
  for (int row = 0; row < count; ++row) {
    const int output = first + row;
    const uint8_t* const from = bytes.data() + static_cast<size_t>(output / 2 - first_pair) * depth_;
    int8_t* const to = codes->data() + static_cast<size_t>(row) * depth_;
    for (int d = 0; d < depth_; ++d) {
      const int nibble = output % 2 == 0 ? from[d] & 15 : from[d] >> 4;
      to[d] = static_cast<int8_t>(nibble < 8 ? nibble : nibble - 16);
    }
  }
}

void ScaledTensor::ReadGroups(int first, int count, std::vector<float>* scales, std::vector<float>* zeros) const {
  const std::vector<float> stored =
      ReadFloats(*scales_, static_cast<size_t>(first) * groups_, static_cast<size_t>(count) * groups_);
  for (int row = 0; row < count; ++row)
    for (int group = 0; group < groups_; ++group) {
      const float scale = stored[static_cast<size_t>(row) * groups_ + group];
      scales->insert(scales->end(), static_cast<size_t>(repeats_), scale);
      if (zero_ == nullptr) continue;
      // X.zero is rounded to the type of the model; zero points are whole numbers, unless another tool made them.
      const float zero = scale == 0 ? 0 : zeros_[static_cast<size_t>(group) * rows_ + first + row] / scale;
      const float whole = std::round(zero);
      zeros->insert(zeros->end(), static_cast<size_t>(repeats_), std::abs(zero - whole) < 0.1f ? whole : zero);
    }
}

std::vector<float> ScaledTensor::ReadFloats(const TensorEntry& tensor, size_t first, size_t count) const {
  const WeightType type = SafetensorsFile::TypeOf(tensor);
  const size_t size = type == WeightType::kFloat32 ? sizeof(float) : sizeof(uint16_t);
  std::vector<float> values(count);
  if (type == WeightType::kFloat32) {
    file_->Read(tensor, first * size, count * size, values.data());
    return values;
  }
  std::vector<uint16_t> bits(count);
  file_->Read(tensor, first * size, count * size, bits.data());
  for (size_t i = 0; i < count; ++i)
    values[i] = type == WeightType::kFloat16 ? Float16ToFloat(bits[i]) : Bfloat16ToFloat(bits[i]);
  return values;
}

}  // namespace embedded::cpu
