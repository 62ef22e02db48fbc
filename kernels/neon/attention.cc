// The arithmetic of attention; kernels/shared/attention_driver.h has the rest.
#include "kernels/neon/ops.h"
#include "kernels/neon/simd.h"
#include "kernels/shared/attention_driver.h"

namespace air::neon {
namespace {

constexpr int kBlock = AIR_ATTENTION_BLOCK;
constexpr int kQuads = AIR_STRIPE / 4;  // registers of 4 tokens

// out: [kQueries, kBlock], 16 columns written. keys: the stripe, [D / 4][16][4] int8.
template <int kQueries>
void score_int8(const AirQueryPanel& panel, int first, int64_t dims, const AirStripeView& stripe,
                float* out) {
  float32x4_t score[kQueries][kQuads];
  AIR_UNROLL
  for (int q = 0; q < kQueries; ++q) {
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) score[q][c] = vdupq_n_f32(0.0f);
  }
  for (int64_t g = 0; g < dims / AIR_GROUP; ++g) {
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) {
      int32x4_t dot[kQueries];
      AIR_UNROLL
      for (int q = 0; q < kQueries; ++q) dot[q] = vdupq_n_s32(0);
      AIR_UNROLL
      for (int j = 0; j < 8; ++j) {
        const int64_t quad = 8 * g + j;
        if (c == 0) fetch_line(stripe.next_keys + 64 * quad);
        const int8x16_t keys = load_bytes(stripe.keys + 64 * quad + 16 * c);
        add_dots<kQueries>(keys, load_bytes(panel.quads[quad][first]), dot);
      }
      AIR_UNROLL
      for (int q = 0; q < kQueries; ++q) {
        score[q][c] = vfmaq_n_f32(score[q][c], vcvtq_f32_s32(dot[q]), panel.scales[g][first + q]);
      }
    }
  }
  float32x4_t key_scales[kQuads];
  load_halves(stripe.key_scales, key_scales);
  AIR_UNROLL
  for (int q = 0; q < kQueries; ++q) {
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) {
      vst1q_f32(out + q * kBlock + 4 * c, vmulq_f32(score[q][c], key_scales[c]));
    }
  }
}

// out: [kQueries, kBlock], 16 columns written. keys: the stripe, [D / 32][4][16][4] pairs of int4.
template <int kQueries>
void score_int4(const AirQueryPanel& panel, int first, int64_t dims, const AirStripeView& stripe,
                float* out) {
  float32x4_t score[kQueries][kQuads];
  AIR_UNROLL
  for (int q = 0; q < kQueries; ++q) {
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) score[q][c] = vdupq_n_f32(0.0f);
  }
  for (int64_t g = 0; g < dims / AIR_GROUP; ++g) {
    float32x4_t key_scales[kQuads];
    load_halves(stripe.key_scales + 32 * g, key_scales);
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) {
      // Keys are stored 8 too large; 8 times the query's sum is taken off beforehand.
      int32x4_t dot[kQueries];
      AIR_UNROLL
      for (int q = 0; q < kQueries; ++q) dot[q] = vdupq_n_s32(-8 * panel.sums[g][first + q]);
      AIR_UNROLL
      for (int j = 0; j < 4; ++j) {
        const int64_t at = 64 * (4 * g + j);
        if (c == 0) fetch_line(stripe.next_keys + at);
        const uint8x16_t packed = vld1q_u8(stripe.keys + at + 16 * c);
        const int8x16_t low = vreinterpretq_s8_u8(vandq_u8(packed, vdupq_n_u8(15)));
        const int8x16_t high = vreinterpretq_s8_u8(vshrq_n_u8(packed, 4));
        add_dots<kQueries>(low, load_bytes(panel.quads[8 * g + j][first]), dot);
        add_dots<kQueries>(high, load_bytes(panel.quads[8 * g + 4 + j][first]), dot);
      }
      AIR_UNROLL
      for (int q = 0; q < kQueries; ++q) {
        const float32x4_t scale = vmulq_n_f32(key_scales[c], panel.scales[g][first + q]);
        score[q][c] = vfmaq_f32(score[q][c], vcvtq_f32_s32(dot[q]), scale);
      }
    }
  }
  AIR_UNROLL
  for (int q = 0; q < kQueries; ++q) {
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) vst1q_f32(out + q * kBlock + 4 * c, score[q][c]);
  }
}

// out: [kQueries, kBlock], 16 columns written. keys: the stripe, [D][16] binary16.
template <int kQueries>
void score_f16(const AirQueryPanel& panel, int first, int64_t dims, const AirStripeView& stripe, float* out) {
  float32x4_t score[kQueries][kQuads];
  AIR_UNROLL
  for (int q = 0; q < kQueries; ++q) {
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) score[q][c] = vdupq_n_f32(0.0f);
  }
  for (int64_t d = 0; d < dims; ++d) {
    float32x4_t keys[kQuads];
    fetch_line(stripe.next_keys + 32 * d);
    load_halves(stripe.keys + 32 * d, keys);
    AIR_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      AIR_UNROLL
      for (int c = 0; c < kQuads; ++c) {
        score[q][c] = vfmaq_n_f32(score[q][c], keys[c], panel.values[d][first + q]);
      }
    }
  }
  AIR_UNROLL
  for (int q = 0; q < kQueries; ++q) {
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) vst1q_f32(out + q * kBlock + 4 * c, score[q][c]);
  }
}

// Bytes 4 v .. 4 v + 3 as floats. Each byte goes to the top of a 32-bit lane; the conversion divides by 2^24. That
// is shorter than widening twice, and exact.
inline float32x4_t bytes_to_floats(int8x16_t bytes, int v) {
  static const uint8_t kTopBytes[4][16] = {
      {255, 255, 255, 0, 255, 255, 255, 1, 255, 255, 255, 2, 255, 255, 255, 3},
      {255, 255, 255, 4, 255, 255, 255, 5, 255, 255, 255, 6, 255, 255, 255, 7},
      {255, 255, 255, 8, 255, 255, 255, 9, 255, 255, 255, 10, 255, 255, 255, 11},
      {255, 255, 255, 12, 255, 255, 255, 13, 255, 255, 255, 14, 255, 255, 255, 15}};
  return vcvtq_n_f32_s32(vreinterpretq_s32_s8(vqtbl1q_s8(bytes, vld1q_u8(kTopBytes[v]))), 24);
}

// Each loads the values of 16 or 32 dims, from dim d of the token whose values start at `row`.
struct Int8Value {
  static constexpr int kGroupBytes = 32;
  static constexpr bool kGroupScales = false;
  template <int kVectors>
  static void load(const uint8_t* row, int64_t d, float32x4_t (&out)[kVectors]) {
    AIR_UNROLL
    for (int v = 0; v < kVectors; ++v) out[v] = bytes_to_floats(load_bytes(row + d + v / 4 * 16), v % 4);
  }
};

struct Int4Value {
  static constexpr int kGroupBytes = 16;
  static constexpr bool kGroupScales = true;
  template <int kVectors>
  static void load(const uint8_t* row, int64_t d, float32x4_t (&out)[kVectors]) {
    uint8x16_t packed = vld1q_u8(row + d / AIR_GROUP * kGroupBytes);
    if (kVectors == 4) packed = vshlq_u8(packed, vdupq_n_s8(d % AIR_GROUP == 0 ? 0 : -4));
    AIR_UNROLL
    for (int v = 0; v < kVectors; v += 4) {
      const uint8x16_t nibbles = v == 0 ? vandq_u8(packed, vdupq_n_u8(15)) : vshrq_n_u8(packed, 4);
      const int8x16_t values = vsubq_s8(vreinterpretq_s8_u8(nibbles), vdupq_n_s8(8));
      AIR_UNROLL
      for (int i = 0; i < 4; ++i) out[v + i] = bytes_to_floats(values, i);
    }
  }
};

struct HalfValue {
  static constexpr int kGroupBytes = 64;
  static constexpr bool kGroupScales = false;
  template <int kVectors>
  static void load(const uint8_t* row, int64_t d, float32x4_t (&out)[kVectors]) {
    load_halves(row + 2 * d, out);
  }
};

// Weights of a stripe's tokens for the values of one group of dims: [kQueries, *stride], as they are or, in
// `scaled`, times the group's scales.
template <int kQueries, typename Value>
inline const float* group_weights(const AirStripeView& stripe, int64_t group, const float* weights,
                                  float (*scaled)[AIR_STRIPE], int* stride) {
  *stride = Value::kGroupScales ? AIR_STRIPE : kBlock;
  if (!Value::kGroupScales) return weights;
  float32x4_t scales[kQuads];
  load_halves(stripe.value_scales + 32 * group, scales);
  AIR_UNROLL
  for (int q = 0; q < kQueries; ++q) {
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) {
      vst1q_f32(scaled[q] + 4 * c, vmulq_f32(vld1q_f32(weights + q * kBlock + 4 * c), scales[c]));
    }
  }
  return scaled[0];
}

// acc [kQueries, D] = acc * correction + sum over tokens of weight * value, as many dims at a time as give 8 to
// 16 independent sums.
template <int kQueries, typename Value>
void add_values(const AirBlockView& view, int64_t dims, const float* weights, const float* corrections,
                float* acc) {
  constexpr int kVectors = kQueries > 2 ? 4 : 8;
  const int64_t row_bytes = dims / AIR_GROUP * Value::kGroupBytes;
  for (int64_t d = 0; d < dims; d += 4 * kVectors) {
    float32x4_t sums[kQueries][kVectors];
    AIR_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      AIR_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        sums[q][v] = vmulq_n_f32(vld1q_f32(acc + q * dims + d + 4 * v), corrections[q]);
      }
    }
    for (int s = 0; s < view.stripe_count; ++s) {
      float scaled[kQueries][AIR_STRIPE];
      int stride;
      const float* stripe_weights = group_weights<kQueries, Value>(view.stripes[s], d / AIR_GROUP,
                                                                   weights + s * AIR_STRIPE, scaled, &stride);
      const uint8_t* next_rows = view.stripes[s].next_values + d * Value::kGroupBytes / AIR_GROUP;
      for (uint32_t left = view.stripes[s].read; left != 0; left &= left - 1) {
        const int t = __builtin_ctz(left);
        float32x4_t values[kVectors];
        Value::load(view.stripes[s].values + t * row_bytes, d, values);
        fetch_line(next_rows + t * row_bytes);
        const float* weight = stripe_weights + t;
        AIR_UNROLL
        for (int q = 0; q < kQueries; ++q) {
          AIR_UNROLL
          for (int v = 0; v < kVectors; ++v) {
            sums[q][v] = vfmaq_n_f32(sums[q][v], values[v], weight[q * stride]);
          }
        }
      }
    }
    AIR_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      AIR_UNROLL
      for (int v = 0; v < kVectors; ++v) vst1q_f32(acc + q * dims + d + 4 * v, sums[q][v]);
    }
  }
}

// Turns a stripe's 16 scores into weights p * value scale, 0 where unread; adds p to lanes [16].
inline void weigh_stripe(const AirStripeView& stripe, bool int8_values, float32x4_t maximum, float* scores,
                         float32x4_t (&lanes)[kQuads]) {
  float32x4_t value_scales[kQuads];
  if (int8_values) load_halves(stripe.value_scales, value_scales);
  AIR_UNROLL
  for (int c = 0; c < kQuads; ++c) {
    const float32x4_t weight = canonical_exp(vsubq_f32(vld1q_f32(scores + 4 * c), maximum));
    const uint32x4_t read = lanes_of_bits(stripe.read >> (4 * c));
    const float32x4_t p = vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(weight), read));
    lanes[c] = vaddq_f32(lanes[c], p);
    vst1q_f32(scores + 4 * c, int8_values ? vmulq_f32(p, value_scales[c]) : p);
  }
}

// One query; lane_sums: [16]. Returns the correction for what was summed before.
float weigh_query(const AirBlockView& view, bool int8_values, float* scores, float* running_max,
                  float* lane_sums) {
  const float old_max = *running_max;
  float32x4_t largest = vdupq_n_f32(old_max);
  for (int i = 0; i < view.stripe_count * AIR_STRIPE; i += 4) {
    largest = vmaxnmq_f32(largest, vld1q_f32(scores + i));  // the number, of a number and a NaN
  }
  const float new_max = vmaxnmvq_f32(largest);
  float correction = 0.0f;
  if (old_max != -__builtin_inff()) {
    correction = vgetq_lane_f32(canonical_exp(vdupq_n_f32(old_max - new_max)), 0);
  }
  float32x4_t lanes[kQuads];
  AIR_UNROLL
  for (int c = 0; c < kQuads; ++c) lanes[c] = vmulq_n_f32(vld1q_f32(lane_sums + 4 * c), correction);
  for (int s = 0; s < view.stripe_count; ++s) {
    weigh_stripe(view.stripes[s], int8_values, vdupq_n_f32(new_max), scores + s * AIR_STRIPE, lanes);
  }
  AIR_UNROLL
  for (int c = 0; c < kQuads; ++c) vst1q_f32(lane_sums + 4 * c, lanes[c]);
  *running_max = new_max;
  return correction;
}

struct Ops {
  // Their sums fill the registers, and one register of the panel holds a quad of each.
  static constexpr int kMostQueries = 4;
  static constexpr AirScoreKernel kScoreInt8[kMostQueries] = {score_int8<1>, score_int8<2>, score_int8<3>,
                                                              score_int8<4>};
  static constexpr AirScoreKernel kScoreInt4[kMostQueries] = {score_int4<1>, score_int4<2>, score_int4<3>,
                                                              score_int4<4>};
  static constexpr AirScoreKernel kScoreF16[kMostQueries] = {score_f16<1>, score_f16<2>, score_f16<3>,
                                                             score_f16<4>};
  static constexpr AirValueKernel kAddInt8[kMostQueries] = {
      add_values<1, Int8Value>, add_values<2, Int8Value>, add_values<3, Int8Value>, add_values<4, Int8Value>};
  static constexpr AirValueKernel kAddInt4[kMostQueries] = {
      add_values<1, Int4Value>, add_values<2, Int4Value>, add_values<3, Int4Value>, add_values<4, Int4Value>};
  static constexpr AirValueKernel kAddF16[kMostQueries] = {
      add_values<1, HalfValue>, add_values<2, HalfValue>, add_values<3, HalfValue>, add_values<4, HalfValue>};

  static void weigh(const AirBlockWork& work, AirScores* scores, float* running_max,
                    float (*lanes)[AIR_STRIPE], float* corrections) {
    const bool int8_values = work.layout->value_type == AIR_KV_INT8;
    for (int q = 0; q < work.count; ++q) {
      corrections[q] = weigh_query(*work.view, int8_values, scores->of[q], running_max + q, lanes[q]);
    }
  }

  static float reduce(const float* lanes) {
    return reduce_lanes(
        {vld1q_f32(lanes), vld1q_f32(lanes + 4), vld1q_f32(lanes + 8), vld1q_f32(lanes + 12)});
  }
};

}  // namespace

void attention(const AirAttentionArgs* args) { attend<Ops>(args); }

}  // namespace air::neon
