// 8-bit weights, scaled per 32 or 16 values, against panels of activations; Dot multiplies (dot.h).
#ifndef AIR_KERNELS_AVX2_INT8_H_
#define AIR_KERNELS_AVX2_INT8_H_

#include "kernels/avx2/panel.h"

namespace air::avx2 {
namespace {  // internal linkage, for the members too

enum class Int8Kind { kScale32, kScale32Min, kScale16 };

template <typename Dot, Int8Kind kKind>
struct Int8Group {
  static constexpr int kBytes = 512;
  static constexpr bool kInHalves = kKind == Int8Kind::kScale16;

  struct Scales {
    __m256 first[2], second[2];  // second: scales of the last 16 k, or mins
  };

  static Scales load_scales(const IntegerTile& t, int64_t g) {
    Scales s = {};
    AIR_UNROLL
    for (int h = 0; h < 2; ++h) {
      s.first[h] = load_halves(t.scales + (kInHalves ? 64 : 32) * g + 16 * h);
      if (kInHalves) s.second[h] = load_halves(t.scales + 64 * g + 32 + 16 * h);
      if (kKind == Int8Kind::kScale32Min) s.second[h] = load_halves(t.mins + 32 * g + 16 * h);
    }
    return s;
  }

  // Dot products over the quads [first, first + kQuads) of k.
  template <int kQuads, int kRows>
  static void add_quads(const uint8_t* values, const PanelGroup* x, int first, __m256i (&sums)[kRows][2]) {
    AIR_UNROLL
    for (int j = first; j < first + kQuads; ++j) {
      const typename Dot::Weights weights[2] = {Dot::prepare(load_bytes(values + 64 * j)),
                                                Dot::prepare(load_bytes(values + 64 * j + kHalfBytes))};
      AIR_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const __m256i quad = broadcast_quad(x[r].q + 4 * j);
        AIR_UNROLL
        for (int h = 0; h < 2; ++h) {
          sums[r][h] = Dot::add(sums[r][h], weights[h], quad);
          settle(sums[r][h]);
        }
      }
    }
  }

  // Adds the quads [first, first + kQuads) of k, which have one scale. start: a member of PanelGroup.
  template <int kQuads, int kRows>
  static void add_scale_group(const uint8_t* values, const __m256 (&scales)[2], const PanelGroup* x,
                              int first, int32_t PanelGroup::*start, __m256 (*acc)[2]) {
    __m256i sums[kRows][2];
    AIR_UNROLL
    for (int r = 0; r < kRows; ++r) sums[r][0] = sums[r][1] = Dot::begin(x[r].*start);
    add_quads<kQuads>(values, x, first, sums);
    AIR_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const __m256 x_scale = _mm256_set1_ps(x[r].scale);
      AIR_UNROLL
      for (int h = 0; h < 2; ++h) acc[r][h] = add_scaled(sums[r][h], scales[h], x_scale, acc[r][h]);
    }
  }

  template <int kRows>
  static void add_rows(const uint8_t* values, const Scales& s, const PanelGroup* x, __m256 (*acc)[2]) {
    if (kInHalves) {
      add_scale_group<4, kRows>(values, s.first, x, 0, &PanelGroup::start, acc);
      add_scale_group<4, kRows>(values, s.second, x, 4, &PanelGroup::second_start, acc);
    } else {
      add_scale_group<8, kRows>(values, s.first, x, 0, &PanelGroup::start, acc);
    }
    if (kKind != Int8Kind::kScale32Min) return;
    AIR_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const __m256 x_scale = _mm256_set1_ps(x[r].scale);
      AIR_UNROLL
      for (int h = 0; h < 2; ++h) acc[r][h] = add_min(x[r].total, s.second[h], x_scale, acc[r][h]);
    }
  }
};

template <typename Dot>
void multiply_int8(const AirMatmulArgs* args) {
  if (args->weights->scale_group == 16) {
    run_panels(args, kInPanel<Int8Group<Dot, Int8Kind::kScale16>>, Dot::kOffset);
  } else if (args->weights->has_min) {
    run_panels(args, kInPanel<Int8Group<Dot, Int8Kind::kScale32Min>>, Dot::kOffset);
  } else {
    run_panels(args, kInPanel<Int8Group<Dot, Int8Kind::kScale32>>, Dot::kOffset);
  }
}

}  // namespace
}  // namespace air::avx2

#endif  // AIR_KERNELS_AVX2_INT8_H_
