// What the AVX2 matmuls share: where a tile lies, the scaling, and the store. A tile's 16 outputs are two halves
// of 8 lanes.
#ifndef AIR_KERNELS_AVX2_MATMUL_H_
#define AIR_KERNELS_AVX2_MATMUL_H_

#include "kernels/avx2/simd.h"
#include "kernels/shared/matmul_tiles.h"

namespace air::avx2 {

constexpr int kHalfBytes = 32;  // of an integer quad or of 8 float32; 8 binary16 take half of that

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

// acc + dot * scales * x_scale with the canonical roundings.
static inline __m256 add_scaled(__m256i dot, __m256 scales, __m256 x_scale, __m256 acc) {
  return _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(scales, x_scale), acc);
}

// acc + total * mins * x_scale; total: sum of the activations of the group.
static inline __m256 add_min(float total, __m256 mins, __m256 x_scale, __m256 acc) {
  return _mm256_fmadd_ps(_mm256_set1_ps(total), _mm256_mul_ps(mins, x_scale), acc);
}

// sums: [kRows][kHalves] registers of 8 outputs, from half `half` on.
template <int kRows, int kHalves>
static inline void store_rows(const AirMatmulArgs* args, int64_t tile, int half, int64_t row,
                              const __m256 (&sums)[kRows][kHalves]) {
  const int columns = tile_columns(args->weights, tile);
  AIR_UNROLL
  for (int h = 0; h < kHalves; ++h) {
    const int first = 8 * (half + h);
    if (columns <= first) continue;
    const __m256i mask = first_lanes(columns - first);
    float* y = args->y + row * args->y_stride + tile * AIR_TILE_ROWS + first;
    AIR_UNROLL
    for (int r = 0; r < kRows; ++r, y += args->y_stride) {
      __m256 result = sums[r][h];
      if (args->store == AIR_STORE_ADD) result = _mm256_add_ps(_mm256_maskload_ps(y, mask), result);
      _mm256_maskstore_ps(y, mask, result);
    }
  }
}

}  // namespace air::avx2

#endif  // AIR_KERNELS_AVX2_MATMUL_H_
