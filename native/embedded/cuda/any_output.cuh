// The alternatives of LinearOutput behind one type: a kernel over it is compiled once for all of them, for a switch at the end of a
// tile. Its functions are those of linear_output.cuh, with what they hand on made alike.
#ifndef EMBEDDED_CUDA_ANY_OUTPUT_CUH_
#define EMBEDDED_CUDA_ANY_OUTPUT_CUH_

#include "native/embedded/cuda/linear_output.cuh"

namespace embedded::cuda {

template <typename T>
class AnyOutput {
 public:
  using Place = typename StoreRotated<T>::Token;

  explicit AnyOutput(const LinearCall& call) {
    ForOutput<T>(call, [this](const auto& output) { Set(output); });
  }

  __host__ __device__ int units() const {
    switch (kind_) {
      case Kind::kElements:
        return elements_.units();
      case Kind::kSums:
        return sums_.units();
      case Kind::kHidden:
        return hidden_.units();
      case Kind::kSilu:
        return silu_.units();
      case Kind::kRotated:
        break;
    }
    return rotated_.units();
  }
  __device__ int2 Rows(int unit) const {
    switch (kind_) {
      case Kind::kElements:
        return elements_.Rows(unit);
      case Kind::kSums:
        return sums_.Rows(unit);
      case Kind::kHidden:
        return hidden_.Rows(unit);
      case Kind::kSilu:
        return silu_.Rows(unit);
      case Kind::kRotated:
        break;
    }
    return rotated_.Rows(unit);
  }
  __device__ Place ForToken(int token) const { return kind_ == Kind::kRotated ? rotated_.ForToken(token) : Place{}; }
  __device__ float2 Load(const Place& place, int token, int unit) const {
    if (kind_ == Kind::kHidden) return hidden_.Load({}, token, unit);
    if (kind_ == Kind::kRotated) return rotated_.Load(place, token, unit);
    return {};
  }
  __device__ void Store(const Place& place, int token, int unit, float2 operands, float first, float second) const {
    switch (kind_) {
      case Kind::kElements:
        return elements_.Store({}, token, unit, {}, first, second);
      case Kind::kSums:
        return sums_.Store({}, token, unit, {}, first, second);
      case Kind::kHidden:
        return hidden_.Store({}, token, unit, operands, first, second);
      case Kind::kSilu:
        return silu_.Store({}, token, unit, {}, first, second);
      case Kind::kRotated:
        return rotated_.Store(place, token, unit, operands, first, second);
    }
  }

 private:
  enum class Kind { kElements, kSums, kHidden, kSilu, kRotated };

  void Set(const StoreElements<T>& output) {
    kind_ = Kind::kElements;
    elements_ = output;
  }
  void Set(const StoreSums<T>& output) {
    kind_ = Kind::kSums;
    sums_ = output;
  }
  void Set(const AddToHidden<T>& output) {
    kind_ = Kind::kHidden;
    hidden_ = output;
  }
  void Set(const StoreSilu<T>& output) {
    kind_ = Kind::kSilu;
    silu_ = output;
  }
  void Set(const StoreRotated<T>& output) {
    kind_ = Kind::kRotated;
    rotated_ = output;
  }

  Kind kind_;
  union {
    StoreElements<T> elements_;
    StoreSums<T> sums_;
    AddToHidden<T> hidden_;
    StoreSilu<T> silu_;
    StoreRotated<T> rotated_;
  };
};

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_ANY_OUTPUT_CUH_
