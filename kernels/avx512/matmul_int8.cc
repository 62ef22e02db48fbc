// y = W x for 8-bit weights, scaled per 32 or 16 values, against int8 activations. Lanes are the 16 outputs.
#include "kernels/avx512/matmul.h"
#include "kernels/avx512/ops.h"

namespace air::avx512 {
namespace {

constexpr int kGroupBytes = 512;

enum class Kind { kScale32, kScale32Min, kScale16 };

// acc + dot(weights, q over kQuads quads) * scales * x_scale. The weights were made unsigned by adding 128,
// so 128 times the activations' sum is taken off beforehand.
template <int kQuads>
inline __m512 add_dot(const __m512i* weights, const int8_t* q, int32_t sum, __m512 scales, __m512 x_scale,
                      __m512 acc) {
  __m512i dot = _mm512_set1_epi32(-128 * sum);
  AIR_UNROLL
  for (int j = 0; j < kQuads; ++j) dot = _mm512_dpbusd_epi32(dot, weights[j], broadcast_quad(q + 4 * j));
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(scales, x_scale), acc);
}

template <int kRows, Kind kKind>
void multiply(const AirMatmulArgs* args, int64_t tile, int64_t row) {
  const IntegerTile t = integer_tile(args, tile, row);
  const __m512i sign_bits = _mm512_set1_epi8(-128);
  __m512 acc[kRows];
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) acc[r] = _mm512_setzero_ps();

  for (int64_t g = 0; g < t.groups; ++g) {
    const uint8_t* values = t.values + g * kGroupBytes;
    prefetch_step(t.scales, g, t.group_bytes, kGroupBytes / 64 + 1);
    __m512i weights[8];  // weights[j]: k = 4 j .. 4 j + 3 of the group, plus 128
    AIR_UNROLL
    for (int j = 0; j < 8; ++j) {
      weights[j] = _mm512_xor_si512(_mm512_loadu_si512(values + 64 * j), sign_bits);
    }
    const int64_t scale_group = kKind == Kind::kScale16 ? 2 * g : g;
    const __m512 scales = load_halves(t.scales + 32 * scale_group);
    __m512 second = _mm512_setzero_ps();  // the mins, or the scales of the group's second half
    if (kKind == Kind::kScale32Min) second = load_halves(t.mins + 32 * g);
    if (kKind == Kind::kScale16) second = load_halves(t.scales + 32 * (scale_group + 1));

    AIR_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const int8_t* q = t.q + r * t.cols + AIR_GROUP * g;
      const int32_t* sums = t.sums16 + (r * t.groups + g) * 2;
      const __m512 x_scale = _mm512_set1_ps(t.x_scales[r * t.groups + g]);
      if (kKind == Kind::kScale16) {
        acc[r] = add_dot<4>(weights, q, sums[0], scales, x_scale, acc[r]);
        acc[r] = add_dot<4>(weights + 4, q + 16, sums[1], second, x_scale, acc[r]);
      } else {
        acc[r] = add_dot<8>(weights, q, sums[0] + sums[1], scales, x_scale, acc[r]);
      }
      if (kKind == Kind::kScale32Min) {
        const __m512 total = _mm512_set1_ps(static_cast<float>(sums[0] + sums[1]));
        acc[r] = _mm512_fmadd_ps(total, _mm512_mul_ps(second, x_scale), acc[r]);
      }
    }
  }
  store_rows(args, tile, row, acc);
}

template <Kind kKind>
constexpr AirTileKernel kKernels[12] = {
    multiply<1, kKind>, multiply<2, kKind>,  multiply<3, kKind>,  multiply<4, kKind>,
    multiply<5, kKind>, multiply<6, kKind>,  multiply<7, kKind>,  multiply<8, kKind>,
    multiply<9, kKind>, multiply<10, kKind>, multiply<11, kKind>, multiply<12, kKind>,
};

}  // namespace

void matmul_int8(const AirMatmulArgs* args) {
  if (args->weights->scale_group == 16) {
    run_tiles(args, kKernels<Kind::kScale16>);
  } else {
    run_tiles(args, args->weights->has_min ? kKernels<Kind::kScale32Min> : kKernels<Kind::kScale32>);
  }
}

}  // namespace air::avx512
