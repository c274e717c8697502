// x of one token in shared memory, for kernels whose warps all read the whole of it.
#ifndef EMBEDDED_CUDA_LINEAR_INPUT_CUH_
#define EMBEDDED_CUDA_LINEAR_INPUT_CUH_

#include <type_traits>

#include "embedded/cuda/device.cuh"
#include "embedded/cuda/linear.h"
#include "embedded/cuda/mma.cuh"

namespace embedded::cuda {

constexpr int kWarpSize = 32;
constexpr int kElementsPerLoad = 8;  // 16 bytes

// Two elements in one register: the first in the low half.
template <typename T>
__device__ float2 UnpackPair(uint32_t pair) {
  if constexpr (std::is_same_v<T, __nv_bfloat16>)
    return {__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u)};
  else
    return __half22float2(*reinterpret_cast<const __half2*>(&pair));
}

template <typename T>
struct StageElements {
  const T* x;  // [tokens, depth]
  int depth;

  StageElements(const ElementsInput& from, int depth) : x(static_cast<const T*>(from.x)), depth(depth) {}

  // Fills staged [padded_depth], zeros from depth on. The caller's block must meet at a barrier before it reads them; `scratch`
  // holds a float for each warp.
  __device__ void Stage(T* staged, int padded_depth, float* /*scratch*/) const {
    for (int k = threadIdx.x * kElementsPerLoad; k < padded_depth; k += blockDim.x * kElementsPerLoad)
      *reinterpret_cast<uint4*>(staged + k) =
          k < depth ? __ldcg(reinterpret_cast<const uint4*>(x + k)) : make_uint4(0, 0, 0, 0);
  }
  // x[token, k]; the plain kernel's way. `scale` is what Scale gave.
  __device__ float Scale(int) const { return 1; }
  __device__ float Value(int token, int k, float) const { return ToFloat(x[static_cast<size_t>(token) * depth + k]); }
};

template <typename T>
struct StageNormalized {
  // Pieces of 8 values that a thread keeps between the sum of squares and the scaling; what is longer is read again, from L2.
  static constexpr int kPiecesKept = 2;

  const float* hidden;  // [tokens, depth]
  const T* weight;      // [depth]
  float epsilon;
  int depth;

  StageNormalized(const NormalizedInput& from, int depth)
      : hidden(from.hidden), weight(static_cast<const T*>(from.weight)), epsilon(from.epsilon), depth(depth) {}

  struct Piece {
    float4 low, high;

    __device__ float SumOfSquares() const {
      return low.x * low.x + low.y * low.y + low.z * low.z + low.w * low.w + high.x * high.x + high.y * high.y +
             high.z * high.z + high.w * high.w;
    }
  };

  // Scales first and rounds once: in fp16 the unscaled product could overflow.
  __device__ void Stage(T* staged, int padded_depth, float* scratch) const {
    const int step = blockDim.x * kElementsPerLoad;
    const int first = threadIdx.x * kElementsPerLoad;
    Piece kept[kPiecesKept];
    float squares = 0;
#pragma unroll
    for (int i = 0; i < kPiecesKept; ++i) {
      kept[i] = Load(first + i * step);
      squares += kept[i].SumOfSquares();
    }
    for (int k = first + kPiecesKept * step; k < depth; k += step) squares += Load(k).SumOfSquares();
    squares = SumOverWarp(squares);
    if (threadIdx.x % kWarpSize == 0) scratch[threadIdx.x / kWarpSize] = squares;
    __syncthreads();
    float total = 0;
    for (unsigned warp = 0; warp < blockDim.x / kWarpSize; ++warp) total += scratch[warp];
    const float scale = rsqrtf(total / depth + epsilon);
#pragma unroll
    for (int i = 0; i < kPiecesKept; ++i) Put(staged, padded_depth, first + i * step, kept[i], scale);
    for (int k = first + kPiecesKept * step; k < padded_depth; k += step) Put(staged, padded_depth, k, Load(k), scale);
  }
  __device__ float Scale(int token) const {
    float squares = 0;
    for (int k = threadIdx.x % kWarpSize; k < depth; k += kWarpSize) {
      const float value = hidden[static_cast<size_t>(token) * depth + k];
      squares += value * value;
    }
    return rsqrtf(SumOverWarp(squares) / depth + epsilon);
  }
  __device__ float Value(int token, int k, float scale) const {
    return ToFloat(FromFloat<T>(hidden[static_cast<size_t>(token) * depth + k] * scale * ToFloat(weight[k])));
  }

 private:
  __device__ Piece Load(int k) const {
    if (k >= depth) return {};
    const float4* const from = reinterpret_cast<const float4*>(hidden + k);
    return {__ldcg(from), __ldcg(from + 1)};
  }
  __device__ void Put(T* staged, int padded_depth, int k, const Piece& piece, float scale) const {
    if (k >= padded_depth) return;
    uint4 out = make_uint4(0, 0, 0, 0);
    if (k < depth) {
      const uint4 weights = *reinterpret_cast<const uint4*>(weight + k);
      const auto product = [scale](float first, float second, uint32_t pair) {
        const float2 factor = UnpackPair<T>(pair);
        return Pack(first * scale * factor.x, second * scale * factor.y, T{});
      };
      out = {product(piece.low.x, piece.low.y, weights.x), product(piece.low.z, piece.low.w, weights.y),
             product(piece.high.x, piece.high.y, weights.z), product(piece.high.z, piece.high.w, weights.w)};
    }
    *reinterpret_cast<uint4*>(staged + k) = out;
  }
};

// Calls body(input) with the device's form of `input`.
template <typename T, typename Body>
void ForInput(const LinearCall& call, Body body) {
  struct Visitor {
    int depth;
    Body& body;
    void operator()(const ElementsInput& from) const { body(StageElements<T>(from, depth)); }
    void operator()(const NormalizedInput& from) const { body(StageNormalized<T>(from, depth)); }
  };
  std::visit(Visitor{call.shape.depth, body}, call.input);
}

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_LINEAR_INPUT_CUH_
