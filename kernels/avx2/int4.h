// 4-bit weights in groups of 32 against panels of activations; Dot multiplies (dot.h).
#ifndef AIR_KERNELS_AVX2_INT4_H_
#define AIR_KERNELS_AVX2_INT4_H_

#include "kernels/avx2/panel.h"

namespace air::avx2 {
namespace {  // internal linkage, for the members too

constexpr int32_t kInt4Offset = 8;  // weights without mins are stored 8 too large

template <typename Dot, bool kHasMin>
struct Int4Group {
  static constexpr int kBytes = 256;

  struct Scales {
    __m256 scales[2], mins[2];
  };

  static Scales load_scales(const IntegerTile& t, int64_t g) {
    Scales s = {};
    AIR_UNROLL
    for (int h = 0; h < 2; ++h) {
      s.scales[h] = load_halves(t.scales + 32 * g + 16 * h);
      if (kHasMin) s.mins[h] = load_halves(t.mins + 32 * g + 16 * h);
    }
    return s;
  }

  // Adds the products of 4 k of every row. weights: a half of the tile each; k: the quad's first k.
  template <int kRows>
  static void add_quad(const __m256i (&weights)[2], const PanelGroup* x, int k, __m256i (&sums)[kRows][2]) {
    AIR_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const __m256i quad = broadcast_quad(x[r].q + k);
      AIR_UNROLL
      for (int h = 0; h < 2; ++h) {
        sums[r][h] = Dot::add(sums[r][h], weights[h], quad);
        settle(sums[r][h]);
      }
    }
  }

  template <int kRows>
  static void dot_rows(const uint8_t* values, const PanelGroup* x, __m256i (&sums)[kRows][2]) {
    const __m256i low_nibbles = _mm256_set1_epi8(15);
    AIR_UNROLL
    for (int j = 0; j < 4; ++j) {
      __m256i low[2], high[2];
      AIR_UNROLL
      for (int h = 0; h < 2; ++h) {
        const __m256i packed = load_bytes(values + 64 * j + kHalfBytes * h);
        low[h] = _mm256_and_si256(packed, low_nibbles);
        high[h] = _mm256_and_si256(_mm256_srli_epi16(packed, 4), low_nibbles);
      }
      add_quad(low, x, 4 * j, sums);
      add_quad(high, x, 4 * j + 16, sums);
    }
  }

  template <int kRows>
  static void add_rows(const uint8_t* values, const Scales& s, const PanelGroup* x, __m256 (*acc)[2]) {
    __m256i sums[kRows][2];
    AIR_UNROLL
    for (int r = 0; r < kRows; ++r) sums[r][0] = sums[r][1] = Dot::begin(kHasMin ? 0 : x[r].start);
    dot_rows(values, x, sums);
    AIR_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const __m256 x_scale = _mm256_set1_ps(x[r].scale);
      AIR_UNROLL
      for (int h = 0; h < 2; ++h) {
        const __m256i dot = Dot::end(sums[r][h], kHasMin ? 0 : x[r].start);
        acc[r][h] = add_scaled(dot, s.scales[h], x_scale, acc[r][h]);
        if (kHasMin) acc[r][h] = add_min(x[r].total, s.mins[h], x_scale, acc[r][h]);
      }
    }
  }
};

template <typename Dot>
void multiply_int4(const AirMatmulArgs* args) {
  if (args->weights->has_min) {
    run_panels(args, kInPanel<Int4Group<Dot, true>>, 0);
  } else {
    run_panels(args, kInPanel<Int4Group<Dot, false>>, kInt4Offset);
  }
}

}  // namespace
}  // namespace air::avx2

#endif  // AIR_KERNELS_AVX2_INT4_H_
