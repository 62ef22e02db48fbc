// What the AVX2 matmuls share. A tile's 16 outputs are two halves of 8 lanes. One or two activation rows take
// both halves in one pass over the weights; three or four rows take one half after the other, because 16
// registers cannot hold more (the second pass finds the weights in the cache).
#ifndef AIR_KERNELS_AVX2_MATMUL_H_
#define AIR_KERNELS_AVX2_MATMUL_H_

#include "kernels/avx2/simd.h"
#include "kernels/shared/matmul_tiles.h"

namespace air::avx2 {

constexpr int kHalfBytes = 32;  // of an integer quad or of 8 float32; 8 binary16 take half of that

static constexpr int halves_per_pass(int rows) { return rows <= 2 ? 2 : 1; }

// A tile of an integer matrix with the activation rows from `row` on; pointers start at half `half`.
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

static inline IntegerTile integer_tile(const AirMatmulArgs* args, int64_t tile, int half, int64_t row) {
  const AirMatrix& w = *args->weights;
  const AirActivations& x = *args->x;
  const uint8_t* base = w.data + tile * w.tile_stride;
  const int64_t groups = w.cols / AIR_GROUP;
  return {base,
          base + 16 * half,
          base + w.mins_offset + 16 * half,
          base + w.values_offset + kHalfBytes * half,
          x.q + row * w.cols,
          x.scales + row * groups,
          x.sums16 + row * groups * 2,
          w.cols,
          groups,
          w.tile_stride / groups};
}

// acc + dot * scales * x_scale with the canonical roundings; scales: 8 binary16.
static inline __m256 add_scaled(__m256i dot, const uint8_t* scales, __m256 x_scale, __m256 acc) {
  return _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(load_halves(scales), x_scale), acc);
}

// acc + sum * mins * x_scale; mins: 8 binary16.
static inline __m256 add_min(int32_t sum, const uint8_t* mins, __m256 x_scale, __m256 acc) {
  const __m256 total = _mm256_set1_ps(static_cast<float>(sum));
  return _mm256_fmadd_ps(total, _mm256_mul_ps(load_halves(mins), x_scale), acc);
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
