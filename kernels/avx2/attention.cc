// The arithmetic of attention; kernels/shared/attention_driver.h has the rest.
#include "kernels/avx2/dot.h"
#include "kernels/avx2/ops.h"
#include "kernels/avx2/simd.h"
#include "kernels/shared/attention_driver.h"

namespace air::avx2 {
namespace {

constexpr int kBlock = AIR_ATTENTION_BLOCK;

// Scores of 8 tokens. keys: half a stripe of [D / 4][16][4] int8; key_scales: [8] binary16; out: [kQueries, kBlock].
template <int kQueries>
void score_half_int8(const AirQueryPanel& panel, int first, int64_t dims, const uint8_t* keys,
                     const uint8_t* next_keys, const uint8_t* key_scales, float* out) {
  __m256 score[kQueries];
  AIR_UNROLL
  for (int q = 0; q < kQueries; ++q) score[q] = _mm256_setzero_ps();
  for (int64_t g = 0; g < dims / AIR_GROUP; ++g) {
    __m256i dot[kQueries];
    AIR_UNROLL
    for (int q = 0; q < kQueries; ++q) dot[q] = _mm256_setzero_si256();
    AIR_UNROLL
    for (int j = 0; j < 8; ++j) {
      const int64_t quad = 8 * g + j;
      fetch_line(next_keys + 64 * quad);
      const __m256i quads = load_bytes(keys + 64 * quad);
      const __m256i magnitudes = _mm256_abs_epi8(quads);
      AIR_UNROLL
      for (int q = 0; q < kQueries; ++q) {
        const __m256i query = broadcast_quad(panel.quads[quad][first + q]);
        dot[q] = _mm256_add_epi32(dot[q], signed_dot(quads, magnitudes, query));
      }
    }
    AIR_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      const __m256 scale = _mm256_set1_ps(panel.scales[g][first + q]);
      score[q] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[q]), scale, score[q]);
    }
  }
  const __m256 scales = load_halves(key_scales);
  AIR_UNROLL
  for (int q = 0; q < kQueries; ++q) _mm256_storeu_ps(out + q * kBlock, _mm256_mul_ps(score[q], scales));
}

// Scores of 8 tokens. keys: half a stripe of [D / 32][4][16][4] pairs of int4; key_scales: half of the stripe's
// [D / 32][16] binary16; out: [kQueries, kBlock].
template <int kQueries>
void score_half_int4(const AirQueryPanel& panel, int first, int64_t dims, const uint8_t* keys,
                     const uint8_t* next_keys, const uint8_t* key_scales, float* out) {
  const __m256i low_nibbles = _mm256_set1_epi8(15);
  __m256 score[kQueries];
  AIR_UNROLL
  for (int q = 0; q < kQueries; ++q) score[q] = _mm256_setzero_ps();
  for (int64_t g = 0; g < dims / AIR_GROUP; ++g) {
    __m256i dot[kQueries];
    AIR_UNROLL
    for (int q = 0; q < kQueries; ++q) dot[q] = NibbleDot::begin(0);
    AIR_UNROLL
    for (int j = 0; j < 4; ++j) {
      const int64_t at = 64 * (4 * g + j);
      fetch_line(next_keys + at);
      const __m256i packed = load_bytes(keys + at);
      const __m256i low = _mm256_and_si256(packed, low_nibbles);
      const __m256i high = _mm256_and_si256(_mm256_srli_epi16(packed, 4), low_nibbles);
      AIR_UNROLL
      for (int q = 0; q < kQueries; ++q) {
        dot[q] = NibbleDot::add(dot[q], low, broadcast_quad(panel.quads[8 * g + j][first + q]));
        dot[q] = NibbleDot::add(dot[q], high, broadcast_quad(panel.quads[8 * g + 4 + j][first + q]));
      }
    }
    const __m256 scales = load_halves(key_scales + 32 * g);
    AIR_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      // Keys are stored 8 too large.
      const __m256i exact = NibbleDot::end(dot[q], -8 * panel.sums[g][first + q]);
      const __m256 scale = _mm256_mul_ps(_mm256_set1_ps(panel.scales[g][first + q]), scales);
      score[q] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(exact), scale, score[q]);
    }
  }
  AIR_UNROLL
  for (int q = 0; q < kQueries; ++q) _mm256_storeu_ps(out + q * kBlock, score[q]);
}

// Scores of 8 tokens. keys: half a stripe of [D][16] binary16; out: [kQueries, kBlock].
template <int kQueries>
void score_half_f16(const AirQueryPanel& panel, int first, int64_t dims, const uint8_t* keys,
                    const uint8_t* next_keys, float* out) {
  __m256 score[kQueries];
  AIR_UNROLL
  for (int q = 0; q < kQueries; ++q) score[q] = _mm256_setzero_ps();
  for (int64_t d = 0; d < dims; ++d) {
    fetch_line(next_keys + 32 * d);
    const __m256 key = load_halves(keys + 32 * d);
    AIR_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      score[q] = _mm256_fmadd_ps(_mm256_set1_ps(panel.values[d][first + q]), key, score[q]);
    }
  }
  AIR_UNROLL
  for (int q = 0; q < kQueries; ++q) _mm256_storeu_ps(out + q * kBlock, score[q]);
}

// Scores of the stripe's 16 tokens.
template <int kQueries>
void score_int8(const AirQueryPanel& panel, int first, int64_t dims, const AirStripeView& stripe,
                float* out) {
  score_half_int8<kQueries>(panel, first, dims, stripe.keys, stripe.next_keys, stripe.key_scales, out);
  score_half_int8<kQueries>(panel, first, dims, stripe.keys + 32, stripe.next_keys, stripe.key_scales + 16,
                            out + 8);
}

template <int kQueries>
void score_int4(const AirQueryPanel& panel, int first, int64_t dims, const AirStripeView& stripe,
                float* out) {
  score_half_int4<kQueries>(panel, first, dims, stripe.keys, stripe.next_keys, stripe.key_scales, out);
  score_half_int4<kQueries>(panel, first, dims, stripe.keys + 32, stripe.next_keys, stripe.key_scales + 16,
                            out + 8);
}

template <int kQueries>
void score_f16(const AirQueryPanel& panel, int first, int64_t dims, const AirStripeView& stripe, float* out) {
  score_half_f16<kQueries>(panel, first, dims, stripe.keys, stripe.next_keys, out);
  score_half_f16<kQueries>(panel, first, dims, stripe.keys + 16, stripe.next_keys, out + 8);
}

// Each loads the values of 16 or 32 dims, from dim d of the token whose values start at `row`.
struct Int8Value {
  static constexpr int kGroupBytes = 32;
  static constexpr bool kGroupScales = false;
  template <int kVectors>
  static void load(const uint8_t* row, int64_t d, __m256 (&out)[kVectors]) {
    AIR_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const __m128i packed = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(row + d + 8 * v));
      out[v] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(packed));
    }
  }
};

struct Int4Value {
  static constexpr int kGroupBytes = 16;
  static constexpr bool kGroupScales = true;
  template <int kVectors>
  static void load(const uint8_t* row, int64_t d, __m256 (&out)[kVectors]) {
    const int64_t group = d / AIR_GROUP;
    __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + group * kGroupBytes));
    if (kVectors == 2) packed = _mm_srl_epi16(packed, _mm_cvtsi32_si128(d % AIR_GROUP == 0 ? 0 : 4));
    AIR_UNROLL
    for (int v = 0; v < kVectors; v += 2) {
      const __m128i nibbles = _mm_and_si128(v == 0 ? packed : _mm_srli_epi16(packed, 4), _mm_set1_epi8(15));
      const __m128i values = _mm_sub_epi8(nibbles, _mm_set1_epi8(8));
      out[v] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(values));
      out[v + 1] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(values, 8)));
    }
  }
};

struct HalfValue {
  static constexpr int kGroupBytes = 64;
  static constexpr bool kGroupScales = false;
  template <int kVectors>
  static void load(const uint8_t* row, int64_t d, __m256 (&out)[kVectors]) {
    AIR_UNROLL
    for (int v = 0; v < kVectors; ++v) out[v] = load_halves(row + 2 * (d + 8 * v));
  }
};

// Weights of a stripe's tokens for the values of one group of dims: [kQueries, *stride], as they are or, in
// `scaled`, times the group's scales.
template <int kQueries, typename Value>
inline const float* group_weights(const AirStripeView& stripe, int64_t group, const float* weights,
                                  float (*scaled)[AIR_STRIPE], int* stride) {
  *stride = Value::kGroupScales ? AIR_STRIPE : kBlock;
  if (!Value::kGroupScales) return weights;
  AIR_UNROLL
  for (int lane = 0; lane < AIR_STRIPE; lane += 8) {
    const __m256 scales = load_halves(stripe.value_scales + 32 * group + 2 * lane);
    AIR_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      const __m256 weight = _mm256_loadu_ps(weights + q * kBlock + lane);
      _mm256_storeu_ps(scaled[q] + lane, _mm256_mul_ps(weight, scales));
    }
  }
  return scaled[0];
}

// acc [kQueries, D] = acc * correction + sum over tokens of weight * value, as many dims at a time as give
// 4 to 8 independent sums.
template <int kQueries, typename Value>
void add_values(const AirBlockView& view, int64_t dims, const float* weights, const float* corrections,
                float* acc) {
  constexpr int kVectors = kQueries > 2 ? 2 : 4;
  const int64_t row_bytes = dims / AIR_GROUP * Value::kGroupBytes;
  for (int64_t d = 0; d < dims; d += 8 * kVectors) {
    __m256 sums[kQueries][kVectors];
    AIR_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      const __m256 correction = _mm256_set1_ps(corrections[q]);
      AIR_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        sums[q][v] = _mm256_mul_ps(_mm256_loadu_ps(acc + q * dims + d + 8 * v), correction);
      }
    }
    for (int s = 0; s < view.stripe_count; ++s) {
      alignas(32) float scaled[kQueries][AIR_STRIPE];
      int stride;
      const float* stripe_weights = group_weights<kQueries, Value>(view.stripes[s], d / AIR_GROUP,
                                                                   weights + s * AIR_STRIPE, scaled, &stride);
      const uint8_t* next_rows = view.stripes[s].next_values + d * Value::kGroupBytes / AIR_GROUP;
      for (uint32_t left = view.stripes[s].read; left != 0; left &= left - 1) {
        const int t = __builtin_ctz(left);
        fetch_line(next_rows + t * row_bytes);
        const float* weight = stripe_weights + t;
        __m256 values[kVectors];
        Value::load(view.stripes[s].values + t * row_bytes, d, values);
        AIR_UNROLL
        for (int q = 0; q < kQueries; ++q) {
          const __m256 w = _mm256_set1_ps(weight[q * stride]);
          AIR_UNROLL
          for (int v = 0; v < kVectors; ++v) sums[q][v] = _mm256_fmadd_ps(w, values[v], sums[q][v]);
        }
      }
    }
    AIR_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      AIR_UNROLL
      for (int v = 0; v < kVectors; ++v) _mm256_storeu_ps(acc + q * dims + d + 8 * v, sums[q][v]);
    }
  }
}

// Turns 8 scores into weights p * value scale, 0 where unread. Returns p.
inline __m256 weigh_half(const AirStripeView& stripe, int lane, bool int8_values, __m256 maximum,
                         float* scores) {
  const __m256 read = _mm256_castsi256_ps(lanes_of_bits(stripe.read >> lane));
  const __m256 p = _mm256_and_ps(canonical_exp(_mm256_sub_ps(_mm256_loadu_ps(scores), maximum)), read);
  const __m256 weight = int8_values ? _mm256_mul_ps(p, load_halves(stripe.value_scales + 2 * lane)) : p;
  _mm256_storeu_ps(scores, weight);
  return p;
}

// One query. Returns the correction for what was summed before.
float weigh_query(const AirBlockView& view, bool int8_values, float* scores, float* running_max,
                  float* lanes) {
  const float old_max = *running_max;
  __m256 largest = _mm256_set1_ps(old_max);
  for (int i = 0; i < view.stripe_count * AIR_STRIPE; i += 8) {
    largest = _mm256_max_ps(_mm256_loadu_ps(scores + i), largest);
  }
  const float new_max = reduce_max(largest);
  const __m256 maximum = _mm256_set1_ps(new_max);
  float correction = 0.0f;
  if (old_max != -__builtin_inff()) {
    correction = _mm256_cvtss_f32(canonical_exp(_mm256_set1_ps(old_max - new_max)));
  }
  __m256 low = _mm256_mul_ps(_mm256_loadu_ps(lanes), _mm256_set1_ps(correction));
  __m256 high = _mm256_mul_ps(_mm256_loadu_ps(lanes + 8), _mm256_set1_ps(correction));
  for (int s = 0; s < view.stripe_count; ++s) {
    float* stripe_scores = scores + s * AIR_STRIPE;
    low = _mm256_add_ps(low, weigh_half(view.stripes[s], 0, int8_values, maximum, stripe_scores));
    high = _mm256_add_ps(high, weigh_half(view.stripes[s], 8, int8_values, maximum, stripe_scores + 8));
  }
  _mm256_storeu_ps(lanes, low);
  _mm256_storeu_ps(lanes + 8, high);
  *running_max = new_max;
  return correction;
}

struct Ops {
  // Their sums fill the registers.
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
    return reduce_lanes(_mm256_loadu_ps(lanes), _mm256_loadu_ps(lanes + 8));
  }
};

}  // namespace

void attention(const AirAttentionArgs* args) { attend<Ops>(args); }

}  // namespace air::avx2
