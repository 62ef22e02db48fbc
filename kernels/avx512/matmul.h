// What the AVX-512 matmuls share: where a tile and its activation rows lie, and the store.
#ifndef AIR_KERNELS_AVX512_MATMUL_H_
#define AIR_KERNELS_AVX512_MATMUL_H_

#include "kernels/avx512/simd.h"
#include "kernels/shared/matmul_tiles.h"

namespace air::avx512 {

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

// sums: [kRows] registers of 16 outputs.
template <int kRows>
static inline void store_rows(const AirMatmulArgs* args, int64_t tile, int64_t row,
                              const __m512 (&sums)[kRows]) {
  const __mmask16 columns = first_lanes(tile_columns(args->weights, tile));
  float* y = args->y + row * args->y_stride + tile * AIR_TILE_ROWS;
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r, y += args->y_stride) {
    __m512 result = sums[r];
    if (args->store == AIR_STORE_ADD) result = _mm512_add_ps(_mm512_maskz_loadu_ps(columns, y), result);
    _mm512_mask_storeu_ps(y, columns, result);
  }
}

}  // namespace air::avx512

#endif  // AIR_KERNELS_AVX512_MATMUL_H_
