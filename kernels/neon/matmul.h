// What the NEON matmuls share: where a tile lies, and the store. A tile's 16 outputs are four quads of 4 lanes.
#ifndef AIR_KERNELS_NEON_MATMUL_H_
#define AIR_KERNELS_NEON_MATMUL_H_

#include "kernels/neon/simd.h"
#include "kernels/shared/matmul_tiles.h"

namespace air::neon {

constexpr int kTileQuads = AIR_TILE_ROWS / 4;
constexpr int kQuadBytes = 16;  // 4 outputs by 4 k of an integer class

// A tile of an integer matrix.
struct IntegerTile {
  const uint8_t* scales;  // [cols / scale_group][16] binary16, at the tile's start
  const uint8_t* mins;    // [cols / 32][16] binary16, with mins only
  const uint8_t* values;  // [cols / 32] groups
  int64_t groups;
  int64_t group_bytes;  // of the tile, per group: values and scales
};

static inline IntegerTile integer_tile(const AirMatmulArgs* args, int64_t tile) {
  const AirMatrix& w = *args->weights;
  const uint8_t* base = w.data + tile * w.tile_stride;
  const int64_t groups = w.cols / AIR_GROUP;
  return {base, base + w.mins_offset, base + w.values_offset, groups, w.tile_stride / groups};
}

// sums: [kRows][kQuads] registers of 4 outputs, from quad `quad` on.
template <int kRows, int kQuads>
static inline void store_rows(const AirMatmulArgs* args, int64_t tile, int quad, int64_t row,
                              const float32x4_t (&sums)[kRows][kQuads]) {
  float outputs[kRows][4 * kQuads];
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) {
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) vst1q_f32(outputs[r] + 4 * c, sums[r][c]);
  }
  const int left = tile_columns(args->weights, tile) - 4 * quad;
  const int columns = left < 4 * kQuads ? left : 4 * kQuads;
  float* y = args->y + row * args->y_stride + tile * AIR_TILE_ROWS + 4 * quad;
  for (int r = 0; r < kRows; ++r, y += args->y_stride) {
    for (int n = 0; n < columns; ++n) {
      y[n] = args->store == AIR_STORE_ADD ? y[n] + outputs[r][n] : outputs[r][n];
    }
  }
}

}  // namespace air::neon

#endif  // AIR_KERNELS_NEON_MATMUL_H_
