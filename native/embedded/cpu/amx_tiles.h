// What the kernel files of AMX share. Compiled with its flags: rules of inclusion in kernels.h.
#ifndef EMBEDDED_CPU_AMX_TILES_H_
#define EMBEDDED_CPU_AMX_TILES_H_

#include <immintrin.h>
#include <stdint.h>

namespace embedded::cpu {
namespace {

constexpr int kTileRows = 16;

// What LDTILECFG reads.
struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  constexpr void Set(int tile, int tile_rows, int tile_row_bytes) {
    rows[tile] = static_cast<uint8_t>(tile_rows);
    row_bytes[tile] = static_cast<uint16_t>(tile_row_bytes);
  }
};

// To be called between what writes memory and what loads tiles from it: GCC does not know that the latter read it.
inline void LetTilesRead(const void* memory) { asm volatile("" : : "r"(memory) : "memory"); }

}  // namespace
}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_AMX_TILES_H_
