// y = W x for 4-bit weights in groups of 32 against int8 activations. Lanes are outputs of a tile.
#include "kernels/avx2/matmul.h"
#include "kernels/avx2/ops.h"

namespace air::avx2 {
namespace {

constexpr int kGroupBytes = 256;

// Integer dot products of one group as 16-bit pairs: 8 products of at most 15 * 127 * 2 stay below 32768.
template <int kRows, int kHalves>
inline void dot_group(const IntegerTile& t, int64_t g, __m256i (&dots)[kRows][kHalves]) {
  const __m256i low_nibbles = _mm256_set1_epi8(15);
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) {
    AIR_UNROLL
    for (int h = 0; h < kHalves; ++h) dots[r][h] = _mm256_setzero_si256();
  }
  AIR_UNROLL
  for (int j = 0; j < 4; ++j) {
    __m256i low[kHalves], high[kHalves];
    AIR_UNROLL
    for (int h = 0; h < kHalves; ++h) {
      const __m256i packed = load_bytes(t.values + g * kGroupBytes + 64 * j + kHalfBytes * h);
      low[h] = _mm256_and_si256(packed, low_nibbles);
      high[h] = _mm256_and_si256(_mm256_srli_epi16(packed, 4), low_nibbles);
    }
    AIR_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const int8_t* q = t.q + r * t.cols + AIR_GROUP * g + 4 * j;
      AIR_UNROLL
      for (int h = 0; h < kHalves; ++h) {
        dots[r][h] = _mm256_add_epi16(dots[r][h], _mm256_maddubs_epi16(low[h], broadcast_quad(q)));
        dots[r][h] = _mm256_add_epi16(dots[r][h], _mm256_maddubs_epi16(high[h], broadcast_quad(q + 16)));
      }
    }
  }
}

template <int kRows, int kHalves, bool kHasMin>
inline void multiply_halves(const AirMatmulArgs* args, int64_t tile, int half, int64_t row) {
  const IntegerTile t = integer_tile(args, tile, half, row);
  __m256 acc[kRows][kHalves];
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) {
    AIR_UNROLL
    for (int h = 0; h < kHalves; ++h) acc[r][h] = _mm256_setzero_ps();
  }
  for (int64_t g = 0; g < t.groups; ++g) {
    prefetch_step(t.start, g, t.group_bytes, kGroupBytes / 64 + 1);
    __m256i dots[kRows][kHalves];
    dot_group(t, g, dots);
    AIR_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const int32_t* sums = t.sums16 + (r * t.groups + g) * 2;
      const int32_t sum = sums[0] + sums[1];
      const __m256 x_scale = _mm256_set1_ps(t.x_scales[r * t.groups + g]);
      // The weights are stored 8 too large; 8 times the sum of the activations is taken off.
      const __m256i offset = _mm256_set1_epi32(kHasMin ? 0 : -8 * sum);
      AIR_UNROLL
      for (int h = 0; h < kHalves; ++h) {
        const __m256i dot = _mm256_add_epi32(_mm256_madd_epi16(dots[r][h], _mm256_set1_epi16(1)), offset);
        acc[r][h] = add_scaled(dot, t.scales + 32 * g + 16 * h, x_scale, acc[r][h]);
        if (kHasMin) acc[r][h] = add_min(sum, t.mins + 32 * g + 16 * h, x_scale, acc[r][h]);
      }
    }
  }
  store_rows(args, tile, half, row, acc);
}

template <int kRows, bool kHasMin>
void multiply(const AirMatmulArgs* args, int64_t tile, int64_t row) {
  constexpr int kHalves = halves_per_pass(kRows);
  for (int half = 0; half < 2; half += kHalves)
    multiply_halves<kRows, kHalves, kHasMin>(args, tile, half, row);
}

template <bool kHasMin>
constexpr AirTileKernel kKernels[4] = {multiply<1, kHasMin>, multiply<2, kHasMin>, multiply<3, kHasMin>,
                                       multiply<4, kHasMin>};

}  // namespace

void matmul_int4(const AirMatmulArgs* args) {
  run_tiles(args, args->weights->has_min ? kKernels<true> : kKernels<false>);
}

}  // namespace air::avx2
