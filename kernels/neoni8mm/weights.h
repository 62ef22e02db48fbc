// Weights in AIR_LAYOUT_PAIRS on their way into registers, and how their scales get to the sums.
#ifndef AIR_KERNELS_NEONI8MM_WEIGHTS_H_
#define AIR_KERNELS_NEONI8MM_WEIGHTS_H_

#include "kernels/neon/matmul.h"

namespace air::neoni8mm {

using neon::integer_tile;
using neon::IntegerTile;
using neon::kTileQuads;

constexpr int kTilePairs = AIR_TILE_ROWS / 2;  // of outputs
constexpr int kChunks = AIR_GROUP / 8;         // of 8 k, in a group

enum class Kind { kScale32, kScale32Min, kScale16 };

// The scales of a group, [16] binary16, and what comes beside them.
struct GroupScales {
  const uint8_t* first;
  const uint8_t* second;  // scales of the last 16 k, or mins, or nothing
};

template <Kind kKind>
static inline GroupScales group_scales(const IntegerTile& t, int64_t g) {
  if (kKind == Kind::kScale16) return {t.scales + 64 * g, t.scales + 64 * g + 32};
  return {t.scales + 32 * g, kKind == Kind::kScale32Min ? t.mins + 32 * g : nullptr};
}

// [s0 s1 s2 s3] to [s0 s1 s0 s1] and [s2 s3 s2 s3].
static inline void spread(float32x4_t quad, float32x4_t* pairs) {
  const float64x2_t halves = vreinterpretq_f64_f32(quad);
  pairs[0] = vreinterpretq_f32_f64(vdupq_laneq_f64(halves, 0));
  pairs[1] = vreinterpretq_f32_f64(vdupq_laneq_f64(halves, 1));
}

// Of kPairs pairs of outputs, 2 or 4. halves: [2 kPairs] binary16
template <int kPairs>
static inline void load_spread(const uint8_t* halves, float32x4_t (&pairs)[kPairs]) {
  if constexpr (kPairs == 2) {
    spread(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(reinterpret_cast<const uint16_t*>(halves)))), pairs);
  } else {
    float32x4_t quads[2];
    neon::load_halves(halves, quads);
    spread(quads[0], pairs);
    spread(quads[1], pairs + 2);
  }
}

// sums += dots * scales * x_scale with the canonical roundings.
template <typename Weights, int kCount>
static inline void add_scaled(const int32x4_t (&dots)[kCount], const float32x4_t (&scales)[kCount],
                              float32x4_t x_scale, float32x4_t (&sums)[kCount]) {
  AIR_UNROLL
  for (int i = 0; i < kCount; ++i) {
    sums[i] = vfmaq_f32(sums[i], Weights::to_float(dots[i]), vmulq_f32(scales[i], x_scale));
  }
}

// sums += total * mins * x_scale; total: sum of the activations of the group.
template <int kCount>
static inline void add_mins(float32x4_t total, const float32x4_t (&mins)[kCount], float32x4_t x_scale,
                            float32x4_t (&sums)[kCount]) {
  AIR_UNROLL
  for (int i = 0; i < kCount; ++i) sums[i] = vfmaq_f32(sums[i], total, vmulq_f32(mins[i], x_scale));
}

// Weights: a kind of weights, with
//   kKind, kBytes            of the values of one group of a tile
//   kIsUnpacked              they are multiplied as they lie
//   unpack(values, weights)  one pair of outputs; weights[c]: k = 8 c .. 8 c + 7 of the group, of both
//   to_float(dots)           what sums of products with those stand for
template <typename Weights, int kPairs>
static inline void load_weights(const uint8_t* values, int pair, int8x16_t (&weights)[kPairs][kChunks]) {
  constexpr int kPairBytes = Weights::kBytes / kTilePairs;
  AIR_UNROLL
  for (int p = 0; p < kPairs; ++p) {
    int8x16_t(&w)[kChunks] = weights[p];
    Weights::unpack(values + (pair + p) * kPairBytes, w);
    if constexpr (Weights::kIsUnpacked && kPairs == 2) {
      // GCC would load each where it is used; side by side, one instruction loads two. That saves a ninth of
      // the instructions of one row or four. With more pairs there is no register to spare for it.
      asm("" : "+w"(w[0]), "+w"(w[1]));
      asm("" : "+w"(w[2]), "+w"(w[3]));
    }
  }
}

}  // namespace air::neoni8mm

#endif  // AIR_KERNELS_NEONI8MM_WEIGHTS_H_
