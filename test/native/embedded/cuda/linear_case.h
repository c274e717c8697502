// One call of a linear layer with random numbers: its buffers on the GPU, poisoned where they are written, and what it should give,
// in float64 on the host.
#ifndef TEST_NATIVE_EMBEDDED_CUDA_LINEAR_CASE_H_
#define TEST_NATIVE_EMBEDDED_CUDA_LINEAR_CASE_H_

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "native/embedded/cuda/linear.h"
#include "native/embedded/cuda/pack.h"
#include "native/embedded/cuda/resources.h"

namespace linear_test {

using namespace embedded::cuda;

enum class In { kElements, kNormalized };
enum class Out { kElements, kFloats, kHidden, kSilu, kRopeAppend };

struct Case {
  Element element;
  int outputs;
  int depth;
  int tokens;
  In in = In::kElements;
  Out out = Out::kElements;
  WeightForm form = {};  // the distance of pairs is the output's
};

inline uint16_t Bits(Element element, float value) {
  uint16_t bits;
  if (element == Element::kBfloat16) {
    const __nv_bfloat16 rounded = __float2bfloat16(value);
    std::memcpy(&bits, &rounded, sizeof(bits));
  } else {
    const __half rounded = __float2half(value);
    std::memcpy(&bits, &rounded, sizeof(bits));
  }
  return bits;
}

inline float Value(Element element, uint16_t bits) {
  if (element == Element::kBfloat16) return __bfloat162float(__nv_bfloat16(__nv_bfloat16_raw{bits}));
  return __half2float(__half(__half_raw{bits}));
}

// Memory of the GPU with values that the host knows too.
template <typename T>
struct Array {
  std::vector<T> host;
  DeviceBuffer device;

  explicit Array(std::vector<T> values) : host(std::move(values)), device(host.size() * sizeof(T), "a test") {
    Upload();
  }
  void Upload() const {
    Check(cudaMemcpy(device.data(), host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice), "a test");
  }
  std::vector<T> Read() const {
    std::vector<T> values(host.size());
    Check(cudaMemcpy(values.data(), device.data(), values.size() * sizeof(T), cudaMemcpyDeviceToHost), "a test");
    return values;
  }
};

inline std::vector<float> RandomFloats(size_t count, uint32_t seed, float spread) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-spread, spread);
  std::vector<float> values(count);
  for (float& value : values) value = uniform(random);
  return values;
}

inline std::vector<uint16_t> RandomBits(Element element, size_t count, uint32_t seed, float center, float spread) {
  std::vector<uint16_t> bits;
  bits.reserve(count);
  for (const float value : RandomFloats(count, seed, spread)) bits.push_back(Bits(element, center + value));
  return bits;
}

// A call's buffers and expected values. RopeAppend: heads of kHeadDim, as many as `outputs` gives, 2 kv heads.
class LinearCase {
 public:
  static constexpr int kKvHeads = 2;
  static constexpr int kHeadDim = 32;
  static constexpr int kTokensPerBlock = 16;
  static constexpr int kMaxBlocks = 3;
  static constexpr int kPastTheEnd = 64;  // values behind each output that must keep their poison
  static constexpr float kEpsilon = 1e-5f;

  explicit LinearCase(const Case& c)
      : c_(c),
        shape_(ShapeOf(c)),
        weights_(RandomBits(c.element, Count(c.outputs, c.depth), 1, 0, 0.05f)),
        x_(RandomBits(c.element, Count(c.tokens, c.depth), 2, 0, 1)),
        hidden_in_(RandomFloats(Count(c.tokens, c.depth), 3, 2)),
        norm_(RandomBits(c.element, static_cast<size_t>(c.depth), 4, 1, 0.2f)),
        elements_(std::vector<uint16_t>(Count(c.tokens, c.outputs) + kPastTheEnd, 0xffff)),
        floats_(StartOfFloats(c)),
        keys_(std::vector<uint16_t>(CacheSize(c), 0xffff)),
        values_(std::vector<uint16_t>(CacheSize(c), 0xffff)),
        angles_(Angles()),
        positions_(Positions(c.tokens)),
        block_table_(BlockTable(c.tokens)) {
    for (const uint16_t bits : weights_.host) w_.push_back(Value(c.element, bits));
    if (c.form.is_packed()) Pack();
  }

  LinearCall Call() const {
    const void* const weights = c_.form.is_packed() ? packed_.data() : weights_.device.data();
    LinearCall call{shape_, weights, c_.tokens, {}, {}};
    if (c_.in == In::kElements)
      call.input = ElementsInput{x_.device.data()};
    else
      call.input = NormalizedInput{hidden_in_.device.as<float>(), norm_.device.data(), kEpsilon};
    switch (c_.out) {
      case Out::kElements:
        call.output = ElementsOutput{elements_.device.data()};
        break;
      case Out::kFloats:
        call.output = FloatsOutput{floats_.device.as<float>()};
        break;
      case Out::kHidden:
        call.output = HiddenOutput{floats_.device.as<float>()};
        break;
      case Out::kSilu:
        call.output = SiluOutput{elements_.device.data()};
        break;
      case Out::kRopeAppend:
        call.output = RopeAppendOutput{elements_.device.data(),
                                       keys_.device.data(),
                                       values_.device.data(),
                                       angles_.device.as<float2>(),
                                       positions_.device.as<int32_t>(),
                                       nullptr,
                                       block_table_.device.as<int32_t>(),
                                       kMaxBlocks,
                                       heads(),
                                       kKvHeads,
                                       kHeadDim,
                                       kTokensPerBlock};
        break;
    }
    return call;
  }

  // Every output as it was before the call.
  void Poison() const {
    elements_.Upload();
    floats_.Upload();
    keys_.Upload();
    values_.Upload();
  }

  // What the outputs hold now, poison included, in the order of Expected.
  std::vector<double> Got() const {
    std::vector<double> got;
    const auto append = [&](const std::vector<uint16_t>& bits) {
      for (const uint16_t b : bits) got.push_back(Value(c_.element, b));
    };
    if (c_.out == Out::kFloats || c_.out == Out::kHidden) {
      const std::vector<float> floats = floats_.Read();
      got.assign(floats.begin(), floats.end());
      return got;
    }
    append(elements_.Read());
    if (c_.out != Out::kRopeAppend) return got;
    append(keys_.Read());
    append(values_.Read());
    return got;
  }

  // NaN where nothing may be written.
  std::vector<double> Expected() const;

  std::string Name() const {
    static constexpr const char* kOut[] = {"elements", "floats", "hidden", "silu", "rope"};
    static constexpr const char* kCodes[] = {"", ", int8", ", int4", ", fp8"};
    static constexpr const char* kScales[] = {"", " groups of 128", " groups of 128 with zeros", " groups of 32",
                                              " groups of 32 with zeros"};
    return std::string(c_.element == Element::kBfloat16 ? "bf16 " : "fp16 ") + std::to_string(c_.tokens) + " tokens, " +
           std::to_string(c_.outputs) + " x " + std::to_string(c_.depth) +
           (c_.in == In::kNormalized ? ", norm, " : ", ") + kOut[static_cast<int>(c_.out)] +
           kCodes[static_cast<int>(c_.form.codes)] + kScales[static_cast<int>(c_.form.scales)];
  }

 private:
  static LinearShape ShapeOf(const Case& c) {
    LinearShape shape{c.element, c.outputs, c.depth, c.form};
    if (c.out == Out::kSilu) shape.form.pair_distance = c.outputs / 2;
    if (c.out == Out::kRopeAppend) shape.form.pair_distance = kHeadDim / 2;
    return shape;
  }
  // Packs what the case's form takes, and puts what that means into w_.
  void Pack();
  void PackInt4Groups();
  void PackRandomFp8();
  static size_t Count(int a, int b) { return static_cast<size_t>(a) * static_cast<size_t>(b); }
  static size_t CacheSize(const Case& c) {
    return c.out == Out::kRopeAppend ? Count(c.tokens * kMaxBlocks * kKvHeads, kTokensPerBlock * kHeadDim) : 0;
  }
  static std::vector<float> StartOfFloats(const Case& c) {
    std::vector<float> floats(Count(c.tokens, c.outputs) + kPastTheEnd, std::nanf(""));
    if (c.out != Out::kHidden) return floats;
    const std::vector<float> hidden = RandomFloats(Count(c.tokens, c.outputs), 5, 1);
    std::copy(hidden.begin(), hidden.end(), floats.begin());
    return floats;
  }
  static std::vector<float2> Angles() {
    std::vector<float2> angles;
    for (int position = 0; position < kMaxBlocks * kTokensPerBlock; ++position)
      for (int i = 0; i < kHeadDim / 2; ++i) {
        const double angle = position * std::pow(10000.0, -2.0 * i / kHeadDim);
        angles.push_back({static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))});
      }
    return angles;
  }
  // With several tokens one is padding.
  static std::vector<int32_t> Positions(int tokens) {
    std::vector<int32_t> positions;
    for (int t = 0; t < tokens; ++t) positions.push_back(t == 1 ? -1 : (t * 11 + 5) % (kMaxBlocks * kTokensPerBlock));
    return positions;
  }
  // Backwards, so that no block is where a mistake would expect it.
  static std::vector<int32_t> BlockTable(int tokens) {
    std::vector<int32_t> table;
    for (int i = tokens * kMaxBlocks - 1; i >= 0; --i) table.push_back(i);
    return table;
  }
  int heads() const { return c_.outputs / kHeadDim - 2 * kKvHeads; }
  std::vector<double> Input(int token) const;
  void ExpectRotated(int token, const std::vector<double>& y, std::vector<double>* expected) const;

  Case c_;
  LinearShape shape_;
  DeviceBuffer packed_;
  std::vector<double> w_;     // [outputs, depth]
  Array<uint16_t> weights_;   // [outputs, depth]
  Array<uint16_t> x_;         // [tokens, depth]
  Array<float> hidden_in_;    // [tokens, depth]
  Array<uint16_t> norm_;      // [depth]
  Array<uint16_t> elements_;  // [tokens, outputs], or what of it the output takes
  Array<float> floats_;       // [tokens, outputs]
  Array<uint16_t> keys_;      // [tokens * kMaxBlocks, kKvHeads, kTokensPerBlock, kHeadDim]
  Array<uint16_t> values_;
  Array<float2> angles_;
  Array<int32_t> positions_;
  Array<int32_t> block_table_;
};

inline void LinearCase::Pack() {
  packed_ = DeviceBuffer(shape_.weight_bytes(), "a test");
  Check(cudaMemset(packed_.data(), 0xff, packed_.bytes()), "a test");
  if (c_.form.codes == Codes::kFp8) return PackRandomFp8();
  if (c_.form.scales != Scales::kRows) return PackInt4Groups();
  const size_t depth = static_cast<size_t>(c_.depth);
  const double half = c_.form.codes == Codes::kInt4 ? 8 : 128;
  for (size_t at = 0; at < w_.size(); at += depth) {
    double largest = 0;
    for (size_t k = 0; k < depth; ++k) largest = std::max(largest, std::abs(w_[at + k]));
    const float scale = static_cast<float>(largest / half);
    for (size_t k = 0; k < depth; ++k) {
      const float q = std::round(static_cast<float>(w_[at + k]) / scale);
      w_[at + k] = std::min(std::max<double>(q, -half), half - 1) * scale;
    }
  }
  PackElements(shape_, weights_.device.data(), packed_.data(), nullptr);
  Check(cudaDeviceSynchronize(), "a test");
}

// Two matrices of half the rows each, if there are as many.
inline void LinearCase::PackInt4Groups() {
  const int group_size = c_.form.groups_in_step() == 1 ? 128 : 32;
  const int part_rows = c_.outputs % 4 == 0 ? c_.outputs / 2 : c_.outputs;
  const size_t groups = static_cast<size_t>(c_.depth / group_size);
  const size_t depth = static_cast<size_t>(c_.depth);
  std::mt19937 random(7);
  std::vector<uint8_t> pairs(w_.size() / 2);
  for (uint8_t& pair : pairs) pair = static_cast<uint8_t>(random());
  std::vector<float> scales, zeros(groups * static_cast<size_t>(c_.outputs));
  for (const float value : RandomFloats(zeros.size(), 8, 0.01f))
    scales.push_back(Value(c_.element, Bits(c_.element, value + 0.011f)));
  for (int row = 0; row < c_.outputs; ++row)
    for (size_t group = 0; group < groups; ++group) {
      const float scale = scales[static_cast<size_t>(row) * groups + group];
      const size_t part = static_cast<size_t>(row / part_rows) * groups;
      float& zero = zeros[(part + group) * static_cast<size_t>(part_rows) + static_cast<size_t>(row % part_rows)];
      const float times = c_.form.has_zeros() ? static_cast<float>(static_cast<int>(random() % 17) - 8) : 0;
      zero = Value(c_.element, Bits(c_.element, times * scale));
      for (size_t k = group * static_cast<size_t>(group_size); k < (group + 1) * static_cast<size_t>(group_size); ++k) {
        const uint8_t pair = pairs[static_cast<size_t>(row / 2) * depth + k];
        const int code = row % 2 == 0 ? pair & 15 : pair >> 4;
        w_[static_cast<size_t>(row) * depth + k] = double{scale} * (code < 8 ? code : code - 16) + double{zero};
      }
    }
  const Array<uint8_t> pairs_there(pairs);
  const Array<float> scales_there(scales), zeros_there(zeros);
  PackInt4(shape_,
           {pairs_there.device.as<uint8_t>(), scales_there.device.as<float>(),
            c_.form.has_zeros() ? zeros_there.device.as<float>() : nullptr, group_size, part_rows},
           packed_.data(), nullptr);
  Check(cudaDeviceSynchronize(), "a test");
}

inline void LinearCase::PackRandomFp8() {
  std::mt19937 random(9);
  std::vector<uint8_t> bytes(w_.size());
  const std::vector<float> scales = RandomFloats(static_cast<size_t>(c_.outputs), 10, 0.001f);
  for (size_t i = 0; i < bytes.size(); ++i) {
    do bytes[i] = static_cast<uint8_t>(random());
    while ((bytes[i] & 0x7f) == 0x7f);  // not a number
    const int exponent = bytes[i] >> 3 & 15;
    const double mantissa = bytes[i] & 7;
    const double value = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
    w_[i] = (bytes[i] & 0x80 ? -value : value) * scales[i / static_cast<size_t>(c_.depth)];
  }
  const Array<uint8_t> bytes_there(bytes);
  const Array<float> scales_there(scales);
  PackFp8(shape_, {bytes_there.device.as<uint8_t>(), scales_there.device.as<float>()}, packed_.data(), nullptr);
  Check(cudaDeviceSynchronize(), "a test");
}

inline std::vector<double> LinearCase::Input(int token) const {
  const size_t depth = static_cast<size_t>(c_.depth);
  std::vector<double> x(depth);
  if (c_.in == In::kElements) {
    for (size_t k = 0; k < depth; ++k) x[k] = Value(c_.element, x_.host[token * depth + k]);
    return x;
  }
  double squares = 0;
  for (size_t k = 0; k < depth; ++k) squares += std::pow(hidden_in_.host[token * depth + k], 2);
  const double scale = 1 / std::sqrt(squares / static_cast<double>(depth) + kEpsilon);
  for (size_t k = 0; k < depth; ++k)
    x[k] = hidden_in_.host[token * depth + k] * scale * Value(c_.element, norm_.host[k]);
  return x;
}

inline void LinearCase::ExpectRotated(int token, const std::vector<double>& y, std::vector<double>* expected) const {
  const int position = positions_.host[static_cast<size_t>(token)];
  if (position < 0) return;
  const int half = kHeadDim / 2;
  const size_t keys_at = elements_.host.size();
  const int block = block_table_.host[static_cast<size_t>(token * kMaxBlocks + position / kTokensPerBlock)];
  for (int head = 0; head < heads() + 2 * kKvHeads; ++head)
    for (int i = 0; i < half; ++i) {
      const float2 angle = angles_.host[static_cast<size_t>(position * half + i)];
      double first = y[static_cast<size_t>(head * kHeadDim + i)];
      double second = y[static_cast<size_t>(head * kHeadDim + i + half)];
      if (head < heads() + kKvHeads) {
        const double unrotated = first;
        first = first * angle.x - second * angle.y;
        second = second * angle.x + unrotated * angle.y;
      }
      size_t at = Count(token * heads() + head, kHeadDim);
      if (head >= heads()) {
        const bool is_key = head < heads() + kKvHeads;
        const int kv_head = head - heads() - (is_key ? 0 : kKvHeads);
        at = keys_at + (is_key ? 0 : keys_.host.size()) +
             Count((block * kKvHeads + kv_head) * kTokensPerBlock + position % kTokensPerBlock, kHeadDim);
      }
      (*expected)[at + static_cast<size_t>(i)] = first;
      (*expected)[at + static_cast<size_t>(i + half)] = second;
    }
}

inline std::vector<double> LinearCase::Expected() const {
  const bool floats = c_.out == Out::kFloats || c_.out == Out::kHidden;
  const size_t size = floats ? floats_.host.size() : elements_.host.size() + keys_.host.size() + values_.host.size();
  std::vector<double> expected(size, std::nan(""));
  const size_t depth = static_cast<size_t>(c_.depth);
  const size_t outputs = static_cast<size_t>(c_.outputs);
  for (int token = 0; token < c_.tokens; ++token) {
    const std::vector<double> x = Input(token);
    std::vector<double> y(outputs);
    for (size_t n = 0; n < outputs; ++n)
      for (size_t k = 0; k < depth; ++k) y[n] += x[k] * w_[n * depth + k];
    const size_t at = static_cast<size_t>(token) * outputs;
    if (c_.out == Out::kRopeAppend) ExpectRotated(token, y, &expected);
    if (c_.out == Out::kElements || c_.out == Out::kFloats)
      for (size_t n = 0; n < outputs; ++n) expected[at + n] = y[n];
    if (c_.out == Out::kHidden)
      for (size_t n = 0; n < outputs; ++n) expected[at + n] = floats_.host[at + n] + y[n];
    if (c_.out == Out::kSilu)
      for (size_t n = 0; n < outputs / 2; ++n) expected[at / 2 + n] = y[n] / (1 + std::exp(-y[n])) * y[outputs / 2 + n];
  }
  return expected;
}

}  // namespace linear_test

#endif  // TEST_NATIVE_EMBEDDED_CUDA_LINEAR_CASE_H_
