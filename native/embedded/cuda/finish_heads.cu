#include "native/embedded/cuda/device.cuh"
#include "native/embedded/cuda/finish_heads.h"
#include "native/embedded/cuda/int8_kv.cuh"

namespace embedded::cuda {
namespace {

constexpr int kHeadsPerBlock = 4;  // a warp each
constexpr int kLargestHeadDim = 256;
constexpr int kPairsPerLane = kLargestHeadDim / 2 / 32;
constexpr int kBiasThreads = 256;
constexpr float kLeastNumber = 1e-30f;  // below it all are 0, because kInt8Most divided by it would be infinite

template <typename T>
struct Arguments {
  RopeAppendOutput to;
  const T* qkv;
  const T* bias;
  const T* q_norm;
  const T* k_norm;
  float epsilon;
  KvType kv_type;
};

// One token of a head in 8 bits. A lane has what it has in FinishHeadsKernel.
__device__ void StoreInt8(const float (&low)[kPairsPerLane], const float (&high)[kPairsPerLane], int half,
                          uint8_t* codes, float* scale) {
  float largest = 0;
#pragma unroll
  for (int j = 0; j < kPairsPerLane; ++j) largest = fmaxf(largest, fmaxf(fabsf(low[j]), fabsf(high[j])));
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) largest = fmaxf(largest, __shfl_xor_sync(0xffffffff, largest, offset));
  const float factor = largest >= kLeastNumber ? kInt8Most / largest : 0.0f;
  const int lane = static_cast<int>(threadIdx.x % 32);
#pragma unroll
  for (int j = 0; j < kPairsPerLane; ++j) {
    const int i = lane + 32 * j;
    if (i >= half) continue;
    codes[i] = static_cast<uint8_t>(kInt8Zero + __float2int_rn(low[j] * factor));
    codes[i + half] = static_cast<uint8_t>(kInt8Zero + __float2int_rn(high[j] * factor));
  }
  if (lane == 0) *scale = largest / kInt8Most;
}

// A lane has the pairs (i, i + half) of its warp's head for every 32nd i.
template <typename T>
__global__ void __launch_bounds__(32 * kHeadsPerBlock) FinishHeadsKernel(Arguments<T> a) {
  WaitForPredecessor();
  const RopeAppendOutput& to = a.to;
  const size_t token = blockIdx.x;
  const int position = to.positions[token];
  const int head = static_cast<int>(blockIdx.y * kHeadsPerBlock + threadIdx.x / 32);
  const int heads = to.heads + 2 * to.kv_heads;
  if (position < 0 || head >= heads) return;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int half = to.head_dim / 2;
  const bool is_query = head < to.heads;
  const bool is_value = head >= to.heads + to.kv_heads;

  const T* x = a.qkv + (token * heads + head) * to.head_dim;
  float low[kPairsPerLane] = {}, high[kPairsPerLane] = {};
#pragma unroll
  for (int j = 0; j < kPairsPerLane; ++j) {
    const int i = lane + 32 * j;
    if (i >= half) continue;
    low[j] = ToFloat(x[i]);
    high[j] = ToFloat(x[i + half]);
    if (a.bias == nullptr) continue;
    low[j] += ToFloat(a.bias[head * to.head_dim + i]);
    high[j] += ToFloat(a.bias[head * to.head_dim + i + half]);
  }
  if (a.q_norm != nullptr && !is_value) {
    const T* norm = is_query ? a.q_norm : a.k_norm;
    float squares = 0;
#pragma unroll
    for (int j = 0; j < kPairsPerLane; ++j) squares += low[j] * low[j] + high[j] * high[j];
    const float factor = 1.0f / sqrtf(SumOverWarp(squares) / static_cast<float>(to.head_dim) + a.epsilon);
#pragma unroll
    for (int j = 0; j < kPairsPerLane; ++j) {
      const int i = lane + 32 * j;
      if (i >= half) continue;
      low[j] *= factor * ToFloat(norm[i]);
      high[j] *= factor * ToFloat(norm[i + half]);
    }
  }
  if (to.angles != nullptr && !is_value) {
#pragma unroll
    for (int j = 0; j < kPairsPerLane; ++j) {
      const int i = lane + 32 * j;
      if (i >= half) continue;
      const float2 angle = to.angles[static_cast<size_t>(position) * half + i];
      const float l = low[j], h = high[j];
      low[j] = l * angle.x - h * angle.y;
      high[j] = h * angle.x + l * angle.y;
    }
  }
  T* out;
  if (is_query) {
    out = static_cast<T*>(to.queries) + (token * to.heads + head) * to.head_dim;
  } else {
    const size_t sequence = to.sequence == nullptr ? token : static_cast<size_t>(to.sequence[token]);
    const size_t block = static_cast<size_t>(
        to.block_table[sequence * static_cast<size_t>(to.max_blocks) + position / to.tokens_per_block]);
    const size_t block_head = block * to.kv_heads + (head - to.heads) % to.kv_heads;
    const int slot = position % to.tokens_per_block;
    void* const plane = is_value ? to.values : to.keys;
    if (a.kv_type == KvType::kInt8) {
      const Int8Token at(block_head, slot, to.tokens_per_block, to.head_dim);
      uint8_t* const bytes = static_cast<uint8_t*>(plane);
      return StoreInt8(low, high, half, bytes + at.codes, reinterpret_cast<float*>(bytes + at.scale));
    }
    out = static_cast<T*>(plane) + (block_head * to.tokens_per_block + slot) * static_cast<size_t>(to.head_dim);
  }
#pragma unroll
  for (int j = 0; j < kPairsPerLane; ++j) {
    const int i = lane + 32 * j;
    if (i >= half) continue;
    out[i] = FromFloat<T>(low[j]);
    out[i + half] = FromFloat<T>(high[j]);
  }
}

template <typename T>
__global__ void __launch_bounds__(kBiasThreads) AddBiasKernel(const T* bias, float* hidden, int size) {
  WaitForPredecessor();
  const int i = static_cast<int>(blockIdx.y * kBiasThreads + threadIdx.x);
  if (i < size) hidden[static_cast<size_t>(blockIdx.x) * size + i] += ToFloat(bias[i]);
}

}  // namespace

void FinishHeads(const FinishHeadsInput& input, const RopeAppendOutput& to, cudaStream_t stream) {
  const int blocks = CeilDivide(to.heads + 2 * to.kv_heads, kHeadsPerBlock);
  WithElement(input.element, [&](auto element) {
    using T = decltype(element);
    const Arguments<T> arguments{to,
                                 static_cast<const T*>(input.qkv),
                                 static_cast<const T*>(input.bias),
                                 static_cast<const T*>(input.q_norm),
                                 static_cast<const T*>(input.k_norm),
                                 input.epsilon,
                                 input.kv_type};
    Launch("FinishHeads", FinishHeadsKernel<T>,
           {dim3(static_cast<unsigned>(input.tokens), static_cast<unsigned>(blocks)), dim3(32 * kHeadsPerBlock)},
           stream, arguments);
  });
}

void AddBias(Element element, int tokens, int size, const void* bias, float* hidden, cudaStream_t stream) {
  WithElement(element, [&](auto value) {
    using T = decltype(value);
    Launch("AddBias", AddBiasKernel<T>,
           {dim3(static_cast<unsigned>(tokens), static_cast<unsigned>(CeilDivide(size, kBiasThreads))),
            dim3(kBiasThreads)},
           stream, static_cast<const T*>(bias), hidden, size);
  });
}

}  // namespace embedded::cuda
