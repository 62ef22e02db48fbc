// y = W x for 4-bit weights in groups of 32 against int8 activations. Lanes are the 16 outputs of a tile.
#include "kernels/avx512/matmul.h"
#include "kernels/avx512/ops.h"

namespace air::avx512 {
namespace {

constexpr int kGroupBytes = 256;

template <int kRows, bool kHasMin>
void multiply(const AirMatmulArgs* args, int64_t tile, int64_t row) {
  const IntegerTile t = integer_tile(args, tile, row);
  const __m512i low_nibbles = _mm512_set1_epi8(15);
  __m512 acc[kRows];
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) acc[r] = _mm512_setzero_ps();

  for (int64_t g = 0; g < t.groups; ++g) {
    const uint8_t* values = t.values + g * kGroupBytes;
    prefetch_step(t.scales, g, t.group_bytes, kGroupBytes / 64 + 1);
    __m512i weights[8];  // weights[j]: k = 4 j .. 4 j + 3 of the group, unsigned
    AIR_UNROLL
    for (int j = 0; j < 4; ++j) {
      const __m512i packed = _mm512_loadu_si512(values + 64 * j);
      weights[j] = _mm512_and_si512(packed, low_nibbles);
      weights[j + 4] = _mm512_and_si512(_mm512_srli_epi16(packed, 4), low_nibbles);
    }
    const __m512 scales = load_halves(t.scales + 32 * g);
    __m512 mins = _mm512_setzero_ps();
    if (kHasMin) mins = load_halves(t.mins + 32 * g);

    AIR_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const int8_t* q = t.q + r * t.cols + AIR_GROUP * g;
      const int32_t* sums = t.sums16 + (r * t.groups + g) * 2;
      const int32_t sum = sums[0] + sums[1];
      // The weights are stored 8 too large; 8 times the sum of the activations is taken off beforehand.
      __m512i dot = _mm512_set1_epi32(kHasMin ? 0 : -8 * sum);
      AIR_UNROLL
      for (int j = 0; j < 8; ++j) dot = _mm512_dpbusd_epi32(dot, weights[j], broadcast_quad(q + 4 * j));
      const __m512 x_scale = _mm512_set1_ps(t.x_scales[r * t.groups + g]);
      acc[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(scales, x_scale), acc[r]);
      if (kHasMin) {
        const __m512 total = _mm512_set1_ps(static_cast<float>(sum));
        acc[r] = _mm512_fmadd_ps(total, _mm512_mul_ps(mins, x_scale), acc[r]);
      }
    }
  }
  store_rows(args, tile, row, acc);
}

template <bool kHasMin>
constexpr AirTileKernel kKernels[12] = {
    multiply<1, kHasMin>, multiply<2, kHasMin>,  multiply<3, kHasMin>,  multiply<4, kHasMin>,
    multiply<5, kHasMin>, multiply<6, kHasMin>,  multiply<7, kHasMin>,  multiply<8, kHasMin>,
    multiply<9, kHasMin>, multiply<10, kHasMin>, multiply<11, kHasMin>, multiply<12, kHasMin>,
};

}  // namespace

void matmul_int4(const AirMatmulArgs* args) {
  run_tiles(args, args->weights->has_min ? kKernels<true> : kKernels<false>);
}

}  // namespace air::avx512
