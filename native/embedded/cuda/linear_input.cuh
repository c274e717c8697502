// x of one token in shared memory, for kernels whose warps all read the whole of it.
#ifndef EMBEDDED_CUDA_LINEAR_INPUT_CUH_
#define EMBEDDED_CUDA_LINEAR_INPUT_CUH_

#include <type_traits>

#include "native/embedded/cuda/device.cuh"
#include "native/embedded/cuda/linear.h"
#include "native/embedded/cuda/mma.cuh"

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

// How x of one token gets into a block's shared memory, in three parts, so that a kernel does other things while loads are under way:
//   Prepare  what no kernel before it writes; may be called before they have ended
//   Load     after they have ended: this thread's values
//   Stage    fills staged [padded_depth], zeros from depth on. The block must meet at a barrier before it reads them. `scratch` is
//            kScratchFloats floats of shared memory
// A thread keeps kPiecesKept pieces of 8 values; what is longer is loaded in Stage.
constexpr int kPiecesKept = 2;
constexpr int kScratchFloats = 32;

template <typename T>
struct StageElements {
  const T* x;  // [tokens, depth]
  int depth;

  struct Pieces {
    uint4 x[kPiecesKept];
  };

  StageElements(const ElementsInput& from, int depth) : x(static_cast<const T*>(from.x)), depth(depth) {}

  __device__ Pieces Prepare() const { return {}; }
  __device__ void Load(Pieces* pieces) const {
#pragma unroll
    for (int i = 0; i < kPiecesKept; ++i) pieces->x[i] = At((threadIdx.x + i * blockDim.x) * kElementsPerLoad);
  }
  __device__ void Stage(const Pieces& pieces, T* staged, int padded_depth, float* /*scratch*/) const {
    const int step = blockDim.x * kElementsPerLoad;
    int k = threadIdx.x * kElementsPerLoad;
#pragma unroll
    for (int i = 0; i < kPiecesKept; ++i, k += step)
      if (k < padded_depth) *reinterpret_cast<uint4*>(staged + k) = pieces.x[i];
    for (; k < padded_depth; k += step) *reinterpret_cast<uint4*>(staged + k) = At(k);
  }
  // x[token, k], the plain kernel's way; `scale` is what Scale gave.
  __device__ float Scale(int) const { return 1; }
  __device__ float Value(int token, int k, float) const { return ToFloat(x[static_cast<size_t>(token) * depth + k]); }

 private:
  __device__ uint4 At(int k) const {
    return k < depth ? __ldcg(reinterpret_cast<const uint4*>(x + k)) : make_uint4(0, 0, 0, 0);
  }
};

template <typename T>
struct StageNormalized {
  const float* hidden;  // [tokens, depth]
  const T* weight;      // [depth]
  float epsilon;
  int depth;

  struct Piece {
    float4 low, high;

    __device__ float SumOfSquares() const {
      return low.x * low.x + low.y * low.y + low.z * low.z + low.w * low.w + high.x * high.x + high.y * high.y +
             high.z * high.z + high.w * high.w;
    }
  };
  struct Pieces {
    uint4 weights[kPiecesKept];
    Piece hidden[kPiecesKept];
  };

  StageNormalized(const NormalizedInput& from, int depth)
      : hidden(from.hidden), weight(static_cast<const T*>(from.weight)), epsilon(from.epsilon), depth(depth) {}

  __device__ Pieces Prepare() const {
    Pieces pieces;
#pragma unroll
    for (int i = 0; i < kPiecesKept; ++i)
      pieces.weights[i] = WeightsAt((threadIdx.x + i * blockDim.x) * kElementsPerLoad);
    return pieces;
  }
  __device__ void Load(Pieces* pieces) const {
#pragma unroll
    for (int i = 0; i < kPiecesKept; ++i)
      pieces->hidden[i] = HiddenAt((threadIdx.x + i * blockDim.x) * kElementsPerLoad);
  }
  // Scales first and rounds once: in fp16 the unscaled product could overflow.
  __device__ void Stage(const Pieces& pieces, T* staged, int padded_depth, float* scratch) const {
    const int step = blockDim.x * kElementsPerLoad;
    const int after_kept = (threadIdx.x + kPiecesKept * blockDim.x) * kElementsPerLoad;
    float squares = 0;
#pragma unroll
    for (int i = 0; i < kPiecesKept; ++i) squares += pieces.hidden[i].SumOfSquares();
    for (int k = after_kept; k < depth; k += step) squares += HiddenAt(k).SumOfSquares();
    const float scale = rsqrtf(SumOverBlock(squares, scratch) / depth + epsilon);
    int k = threadIdx.x * kElementsPerLoad;
#pragma unroll
    for (int i = 0; i < kPiecesKept; ++i, k += step)
      if (k < padded_depth) Put(staged + k, pieces.hidden[i], scale, pieces.weights[i]);
    for (; k < padded_depth; k += step) Put(staged + k, HiddenAt(k), scale, WeightsAt(k));
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
  // Zeros past the end, which become zeros of x.
  __device__ Piece HiddenAt(int k) const {
    if (k >= depth) return {};
    const float4* const from = reinterpret_cast<const float4*>(hidden + k);
    return {__ldcg(from), __ldcg(from + 1)};
  }
  __device__ uint4 WeightsAt(int k) const {
    return k < depth ? *reinterpret_cast<const uint4*>(weight + k) : make_uint4(0, 0, 0, 0);
  }
  __device__ static void Put(T* to, const Piece& piece, float scale, const uint4& weights) {
    const auto product = [scale](float first, float second, uint32_t pair) {
      const float2 factor = UnpackPair<T>(pair);
      return Pack(first * scale * factor.x, second * scale * factor.y, T{});
    };
    *reinterpret_cast<uint4*>(to) = {
        product(piece.low.x, piece.low.y, weights.x), product(piece.low.z, piece.low.w, weights.y),
        product(piece.high.x, piece.high.y, weights.z), product(piece.high.z, piece.high.w, weights.w)};
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
