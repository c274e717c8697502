// Blocks with AVX-512 VNNI. Compiled with that flag: include only what kernels.h allows.
#include "native/embedded/cpu/block_kernels.h"
#include "native/embedded/cpu/block_vectors_avx512.h"

namespace embedded::cpu {
namespace {

struct VnniBlocks : Avx512Blocks {
  template <int bits>
  static constexpr bool kSumsAreInts = true;
  template <int bits>
  static constexpr bool kDotTakesOffset = false;
  template <int bits>
  static constexpr int kDots = 8;
  template <int bits>
  static Ints Dot(Ints sums, Bytes weights, Ints input) {
    return _mm512_dpbusd_epi32(sums, weights, input);
  }
};

struct Layouts {
  const Layout* of[kWeightTypes] = {};
  constexpr Layouts() { BlockKernels<VnniBlocks>::SetLayouts(of); }
};
constexpr Layouts kLayouts;

}  // namespace

void UseVnniBlocks(Kernels* kernels) { BlockKernels<VnniBlocks>::SetLayouts(kernels->layouts); }

const Layout& VnniLayout(WeightType type) { return *kLayouts.of[static_cast<int>(type)]; }

}  // namespace embedded::cpu
