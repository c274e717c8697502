// Matrices of bfloat16 for the instructions that multiply pairs. Rules of inclusion: kernels.h.
//
// A panel is [steps of 32 inputs, 2 halves of 16 outputs, 16 pairs of inputs, 16 outputs, 2 inputs]: a half of a step is
// 1 KiB, a tile of AMX, and each of its pairs is a register of AVX-512. Inputs past `depth` are 0. Products read the
// input rounded to bfloat16, as PyTorch and llama.cpp compute with such weights.
#ifndef EMBEDDED_CPU_BFLOAT16_TILES_H_
#define EMBEDDED_CPU_BFLOAT16_TILES_H_

#include "native/embedded/cpu/kernels.h"

namespace embedded::cpu {

struct Bfloat16Tiles {
  static constexpr int kStep = 32;  // inputs
  static constexpr size_t kHalfBytes = 1024;
  static constexpr size_t kStepBytes = 2 * kHalfBytes;

  static int Steps(int depth) { return (depth + kStep - 1) / kStep; }
  static size_t PanelBytes(int depth) { return Steps(depth) * kStepBytes; }
  static void Pack(const void* rows, int row_count, int depth, void* panel);
  static void Unpack(const void* panel, int column, int depth, float* out);
};

extern const InputForm kBfloat16Input;  // kernels_avx512_bf16.cc
extern const Layout kAvx512Bf16Layout;  // likewise
extern const Layout kAmxLayout;         // kernels_amx.cc

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_BFLOAT16_TILES_H_
