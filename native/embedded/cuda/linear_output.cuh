// What kernels do with a layer's sums, one struct for each alternative of LinearOutput. A kernel computes outputs in pairs, "units":
// Rows says which two rows of w are a unit's, so that what belongs together (gate and up; the two halves of a rotation) meets in one
// thread. ForToken and Load fetch early what Store will need, because a load right before its use costs a kernel its full latency.
#ifndef EMBEDDED_CUDA_LINEAR_OUTPUT_CUH_
#define EMBEDDED_CUDA_LINEAR_OUTPUT_CUH_

#include "native/embedded/cuda/device.cuh"
#include "native/embedded/cuda/linear.h"

namespace embedded::cuda {

struct Nothing {};

// Two neighbours: rows 2u and 2u + 1. With an odd number of outputs the last unit computes its row twice and stores it once.
struct NeighbourRows {
  int outputs;

  __host__ __device__ int units() const { return (outputs + 1) / 2; }
  __device__ int2 Rows(int unit) const { return {2 * unit, min(2 * unit + 1, outputs - 1)}; }
  __device__ Nothing ForToken(int) const { return {}; }
  template <typename Value>
  __device__ void StorePair(Value* y, int token, int unit, Value first, Value second) const {
    Value* const row = y + static_cast<size_t>(token) * outputs;
    row[2 * unit] = first;
    if (2 * unit + 1 < outputs) row[2 * unit + 1] = second;
  }
};

template <typename T>
struct StoreElements : NeighbourRows {
  T* y;  // [tokens, outputs]

  StoreElements(const ElementsOutput& to, int outputs) : NeighbourRows{outputs}, y(static_cast<T*>(to.y)) {}
  __device__ Nothing Load(Nothing, int, int) const { return {}; }
  __device__ void Store(Nothing, int token, int unit, Nothing, float first, float second) const {
    StorePair(y, token, unit, FromFloat<T>(first), FromFloat<T>(second));
  }
};

template <typename T>
struct StoreSums : NeighbourRows {
  float* y;  // [tokens, outputs]

  StoreSums(const FloatsOutput& to, int outputs) : NeighbourRows{outputs}, y(to.y) {}
  __device__ Nothing Load(Nothing, int, int) const { return {}; }
  __device__ void Store(Nothing, int token, int unit, Nothing, float first, float second) const {
    StorePair(y, token, unit, first, second);
  }
};

template <typename T>
struct AddToHidden : NeighbourRows {
  float* hidden;  // [tokens, outputs]

  AddToHidden(const HiddenOutput& to, int outputs) : NeighbourRows{outputs}, hidden(to.hidden) {}
  __device__ float2 Load(Nothing, int token, int unit) const {
    const float* const row = hidden + static_cast<size_t>(token) * outputs;
    const int2 rows = Rows(unit);
    return {__ldcg(row + rows.x), __ldcg(row + rows.y)};
  }
  __device__ void Store(Nothing, int token, int unit, float2 before, float first, float second) const {
    StorePair(hidden, token, unit, before.x + first, before.y + second);
  }
};

template <typename T>
struct StoreSilu {
  T* out;    // [tokens, half]
  int half;  // outputs / 2

  StoreSilu(const SiluOutput& to, int outputs) : out(static_cast<T*>(to.out)), half(outputs / 2) {}
  __host__ __device__ int units() const { return half; }
  __device__ int2 Rows(int unit) const { return {unit, half + unit}; }
  __device__ Nothing ForToken(int) const { return {}; }
  __device__ Nothing Load(Nothing, int, int) const { return {}; }
  __device__ void Store(Nothing, int token, int unit, Nothing, float gate, float up) const {
    out[static_cast<size_t>(token) * half + unit] = FromFloat<T>(gate / (1.0f + __expf(-gate)) * up);
  }
};

template <typename T>
struct StoreRotated {
  RopeAppendOutput to;
  int half;  // head_dim / 2

  struct Token {
    int position;  // below 0: padding
    int block;
    int slot;  // of the block
  };

  StoreRotated(const RopeAppendOutput& to, int) : to(to), half(to.head_dim / 2) {}
  __host__ __device__ int units() const { return (to.heads + 2 * to.kv_heads) * half; }
  __device__ int2 Rows(int unit) const {
    const int first = unit / half * to.head_dim + unit % half;
    return {first, first + half};
  }
  __device__ Token ForToken(int token) const {
    const int position = __ldcg(to.positions + token);
    if (position < 0) return {position, 0, 0};
    const int row = to.sequence == nullptr ? token : __ldcg(to.sequence + token);
    const int* const table = to.block_table + static_cast<size_t>(row) * to.max_blocks;
    return {position, __ldcg(table + position / to.tokens_per_block), position % to.tokens_per_block};
  }
  __device__ float2 Load(const Token& place, int, int unit) const {
    return __ldg(to.angles + static_cast<size_t>(max(place.position, 0)) * half + unit % half);
  }
  __device__ void Store(const Token& place, int token, int unit, float2 angle, float first, float second) const {
    if (place.position < 0) return;
    const int head = unit / half;
    if (head < to.heads + to.kv_heads) {  // values are not rotated
      // Rounded alike in every kernel, whatever the compiler makes of the code around.
      const float unrotated = first;
      first = __fmaf_rn(first, angle.x, -__fmul_rn(second, angle.y));
      second = __fmaf_rn(second, angle.x, __fmul_rn(unrotated, angle.y));
    }
    T* const row = RowOf(head, token, place) + unit % half;
    row[0] = FromFloat<T>(first);
    row[half] = FromFloat<T>(second);
  }

 private:
  // The head_dim elements of a head of this token.
  __device__ T* RowOf(int head, int token, const Token& place) const {
    if (head < to.heads)
      return static_cast<T*>(to.queries) + (static_cast<size_t>(token) * to.heads + head) * to.head_dim;
    const bool is_key = head < to.heads + to.kv_heads;
    const int kv_head = head - to.heads - (is_key ? 0 : to.kv_heads);
    const size_t row = (static_cast<size_t>(place.block) * to.kv_heads + kv_head) * to.tokens_per_block + place.slot;
    return static_cast<T*>(is_key ? to.keys : to.values) + row * to.head_dim;
  }
};

// Calls body(output) with the device's form of `output`.
template <typename T, typename Body>
void ForOutput(const LinearCall& call, Body body) {
  struct Visitor {
    int outputs;
    Body& body;
    void operator()(const ElementsOutput& to) const { body(StoreElements<T>(to, outputs)); }
    void operator()(const FloatsOutput& to) const { body(StoreSums<T>(to, outputs)); }
    void operator()(const HiddenOutput& to) const { body(AddToHidden<T>(to, outputs)); }
    void operator()(const SiluOutput& to) const { body(StoreSilu<T>(to, outputs)); }
    void operator()(const RopeAppendOutput& to) const { body(StoreRotated<T>(to, outputs)); }
  };
  std::visit(Visitor{call.shape.outputs, body}, call.output);
}

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_LINEAR_OUTPUT_CUH_
