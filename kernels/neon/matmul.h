// What the NEON matmuls share. A tile's 16 outputs are four quads of 4 lanes. Few activation rows take all
// quads in one pass over the weights; more rows take two quads at a time, because 32 registers cannot hold
// more sums (the second pass finds the weights in the cache).
#ifndef AIR_KERNELS_NEON_MATMUL_H_
#define AIR_KERNELS_NEON_MATMUL_H_

#include "kernels/neon/simd.h"
#include "kernels/shared/matmul_tiles.h"

namespace air::neon {

constexpr int kTileQuads = AIR_TILE_ROWS / 4;
constexpr int kQuadBytes = 16;  // 4 outputs by 4 k of an integer class

// Quads per pass of the integer matmuls: up to 16 registers of sums. More rows than 6 spill, and take as many
// instructions per row.
static constexpr int quads_per_pass(int rows) { return rows <= 4 ? 4 : 2; }

// A tile of an integer matrix with the activation rows from `row` on; pointers start at quad `quad`.
struct IntegerTile {
  const uint8_t* start;   // of the tile's bytes
  const uint8_t* scales;  // [cols / scale_group][16] binary16
  const uint8_t* mins;    // [cols / 32][16] binary16, with mins only
  const uint8_t* values;  // [cols / 32] groups
  const int8_t* q;        // [rows, cols]
  const float* x_scales;  // [rows, groups]
  const int32_t* sums16;  // [rows, 2 groups]
  int64_t cols;
  int64_t groups;
  int64_t group_bytes;  // of the tile, per group: values and scales
};

static inline IntegerTile integer_tile(const AirMatmulArgs* args, int64_t tile, int quad, int64_t row) {
  const AirMatrix& w = *args->weights;
  const AirActivations& x = *args->x;
  const uint8_t* base = w.data + tile * w.tile_stride;
  const int64_t groups = w.cols / AIR_GROUP;
  return {base,
          base + 8 * quad,
          base + w.mins_offset + 8 * quad,
          base + w.values_offset + kQuadBytes * quad,
          x.q + row * w.cols,
          x.scales + row * groups,
          x.sums16 + row * groups * 2,
          w.cols,
          groups,
          w.tile_stride / groups};
}

// Sum of the activations of row r over group g.
static inline int32_t group_sum(const IntegerTile& t, int r, int64_t g) {
  const int32_t* sums = t.sums16 + (r * t.groups + g) * 2;
  return sums[0] + sums[1];
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
