// y = W x for 8-bit weights, scaled per 32 or 16 values, against int8 activations. Lanes are outputs.
#include "kernels/avx2/matmul.h"
#include "kernels/avx2/ops.h"

namespace air::avx2 {
namespace {

constexpr int kGroupBytes = 512;

enum class Kind { kScale32, kScale32Min, kScale16 };

// Integer dot products over kQuads quads of k. values: [kQuads][16][4]; q: [rows, cols].
template <int kQuads, int kRows, int kHalves>
inline void dot_quads(const uint8_t* values, const int8_t* q, int64_t cols, __m256i (&dots)[kRows][kHalves]) {
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) {
    AIR_UNROLL
    for (int h = 0; h < kHalves; ++h) dots[r][h] = _mm256_setzero_si256();
  }
  AIR_UNROLL
  for (int j = 0; j < kQuads; ++j) {
    AIR_UNROLL
    for (int h = 0; h < kHalves; ++h) {
      const __m256i weights = load_bytes(values + 64 * j + kHalfBytes * h);
      const __m256i magnitudes = _mm256_abs_epi8(weights);  // -128 becomes 128, read as unsigned
      AIR_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const __m256i dot = signed_dot(weights, magnitudes, broadcast_quad(q + r * cols + 4 * j));
        dots[r][h] = _mm256_add_epi32(dots[r][h], dot);
      }
    }
  }
}

// Adds the part of one scale group: kQuads quads of k from `q` on.
template <int kQuads, int kRows, int kHalves>
inline void add_scale_group(const IntegerTile& t, const uint8_t* values, const int8_t* q,
                            const uint8_t* scales, int64_t g, __m256 (&acc)[kRows][kHalves]) {
  __m256i dots[kRows][kHalves];
  dot_quads<kQuads>(values, q, t.cols, dots);
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const __m256 x_scale = _mm256_set1_ps(t.x_scales[r * t.groups + g]);
    AIR_UNROLL
    for (int h = 0; h < kHalves; ++h) acc[r][h] = add_scaled(dots[r][h], scales + 16 * h, x_scale, acc[r][h]);
  }
}

template <int kRows, int kHalves>
inline void add_mins(const IntegerTile& t, int64_t g, __m256 (&acc)[kRows][kHalves]) {
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const int32_t* sums = t.sums16 + (r * t.groups + g) * 2;
    const __m256 x_scale = _mm256_set1_ps(t.x_scales[r * t.groups + g]);
    AIR_UNROLL
    for (int h = 0; h < kHalves; ++h) {
      acc[r][h] = add_min(sums[0] + sums[1], t.mins + 32 * g + 16 * h, x_scale, acc[r][h]);
    }
  }
}

template <int kRows, int kHalves, Kind kKind>
inline void multiply_halves(const AirMatmulArgs* args, int64_t tile, int half, int64_t row) {
  const IntegerTile t = integer_tile(args, tile, half, row);
  __m256 acc[kRows][kHalves];
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) {
    AIR_UNROLL
    for (int h = 0; h < kHalves; ++h) acc[r][h] = _mm256_setzero_ps();
  }
  for (int64_t g = 0; g < t.groups; ++g) {
    const uint8_t* values = t.values + g * kGroupBytes;
    const int8_t* q = t.q + AIR_GROUP * g;
    prefetch_step(t.start, g, t.group_bytes, kGroupBytes / 64 + 1);
    if (kKind == Kind::kScale16) {
      add_scale_group<4>(t, values, q, t.scales + 64 * g, g, acc);
      add_scale_group<4>(t, values + kGroupBytes / 2, q + 16, t.scales + 64 * g + 32, g, acc);
    } else {
      add_scale_group<8>(t, values, q, t.scales + 32 * g, g, acc);
    }
    if (kKind == Kind::kScale32Min) add_mins(t, g, acc);
  }
  store_rows(args, tile, half, row, acc);
}

template <int kRows, Kind kKind>
void multiply(const AirMatmulArgs* args, int64_t tile, int64_t row) {
  constexpr int kHalves = halves_per_pass(kRows);
  for (int half = 0; half < 2; half += kHalves) multiply_halves<kRows, kHalves, kKind>(args, tile, half, row);
}

template <Kind kKind>
constexpr AirTileKernel kKernels[4] = {multiply<1, kKind>, multiply<2, kKind>, multiply<3, kKind>,
                                       multiply<4, kKind>};

}  // namespace

void matmul_int8(const AirMatmulArgs* args) {
  if (args->weights->scale_group == 16) {
    run_tiles(args, kKernels<Kind::kScale16>);
  } else {
    run_tiles(args, args->weights->has_min ? kKernels<Kind::kScale32Min> : kKernels<Kind::kScale32>);
  }
}

}  // namespace air::avx2
