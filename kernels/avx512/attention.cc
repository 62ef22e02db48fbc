// The arithmetic of attention; kernels/shared/attention_driver.h has the rest.
#include "kernels/avx512/ops.h"
#include "kernels/avx512/simd.h"
#include "kernels/shared/attention_driver.h"

namespace air::avx512 {
namespace {

constexpr int kBlock = AIR_ATTENTION_BLOCK;

// out: [kQueries, kBlock], 16 columns written. keys: the stripe, [D / 4][16][4] int8.
template <int kQueries>
void score_int8(const AirQueryPanel& panel, int first, int64_t dims, const AirStripeView& stripe,
                float* out) {
  const __m512i sign_bits = _mm512_set1_epi8(-128);
  __m512 score[kQueries];
  AIR_UNROLL
  for (int q = 0; q < kQueries; ++q) score[q] = _mm512_setzero_ps();
  for (int64_t g = 0; g < dims / AIR_GROUP; ++g) {
    // Keys become unsigned by adding 128; 128 times the query's sum is taken off beforehand.
    __m512i dot[kQueries];
    AIR_UNROLL
    for (int q = 0; q < kQueries; ++q) dot[q] = _mm512_set1_epi32(-128 * panel.sums[g][first + q]);
    AIR_UNROLL
    for (int j = 0; j < 8; ++j) {
      const int64_t quad = 8 * g + j;
      fetch_line(stripe.next_keys + 64 * quad);
      const __m512i keys = _mm512_xor_si512(_mm512_loadu_si512(stripe.keys + 64 * quad), sign_bits);
      AIR_UNROLL
      for (int q = 0; q < kQueries; ++q) {
        dot[q] = _mm512_dpbusd_epi32(dot[q], keys, broadcast_quad(panel.quads[quad][first + q]));
      }
    }
    AIR_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      const __m512 scale = _mm512_set1_ps(panel.scales[g][first + q]);
      score[q] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[q]), scale, score[q]);
    }
  }
  const __m512 key_scales = load_halves(stripe.key_scales);
  AIR_UNROLL
  for (int q = 0; q < kQueries; ++q) _mm512_storeu_ps(out + q * kBlock, _mm512_mul_ps(score[q], key_scales));
}

// out: [kQueries, kBlock], 16 columns written. keys: the stripe, [D / 32][4][16][4] pairs of int4.
template <int kQueries>
void score_int4(const AirQueryPanel& panel, int first, int64_t dims, const AirStripeView& stripe,
                float* out) {
  const __m512i low_nibbles = _mm512_set1_epi8(15);
  __m512 score[kQueries];
  AIR_UNROLL
  for (int q = 0; q < kQueries; ++q) score[q] = _mm512_setzero_ps();
  for (int64_t g = 0; g < dims / AIR_GROUP; ++g) {
    // Keys are stored 8 too large; 8 times the query's sum is taken off beforehand.
    __m512i dot[kQueries];
    AIR_UNROLL
    for (int q = 0; q < kQueries; ++q) dot[q] = _mm512_set1_epi32(-8 * panel.sums[g][first + q]);
    AIR_UNROLL
    for (int j = 0; j < 4; ++j) {
      const int64_t at = 64 * (4 * g + j);
      fetch_line(stripe.next_keys + at);
      const __m512i packed = _mm512_loadu_si512(stripe.keys + at);
      const __m512i low = _mm512_and_si512(packed, low_nibbles);
      const __m512i high = _mm512_and_si512(_mm512_srli_epi16(packed, 4), low_nibbles);
      AIR_UNROLL
      for (int q = 0; q < kQueries; ++q) {
        dot[q] = _mm512_dpbusd_epi32(dot[q], low, broadcast_quad(panel.quads[8 * g + j][first + q]));
        dot[q] = _mm512_dpbusd_epi32(dot[q], high, broadcast_quad(panel.quads[8 * g + 4 + j][first + q]));
      }
    }
    const __m512 key_scales = load_halves(stripe.key_scales + 32 * g);
    AIR_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      const __m512 scale = _mm512_mul_ps(_mm512_set1_ps(panel.scales[g][first + q]), key_scales);
      score[q] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[q]), scale, score[q]);
    }
  }
  AIR_UNROLL
  for (int q = 0; q < kQueries; ++q) _mm512_storeu_ps(out + q * kBlock, score[q]);
}

// out: [kQueries, kBlock], 16 columns written. keys: the stripe, [D][16] binary16.
template <int kQueries>
void score_f16(const AirQueryPanel& panel, int first, int64_t dims, const AirStripeView& stripe, float* out) {
  __m512 score[kQueries];
  AIR_UNROLL
  for (int q = 0; q < kQueries; ++q) score[q] = _mm512_setzero_ps();
  for (int64_t d = 0; d < dims; ++d) {
    fetch_line(stripe.next_keys + 32 * d);
    const __m512 keys = load_halves(stripe.keys + 32 * d);
    AIR_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      score[q] = _mm512_fmadd_ps(_mm512_set1_ps(panel.values[d][first + q]), keys, score[q]);
    }
  }
  AIR_UNROLL
  for (int q = 0; q < kQueries; ++q) _mm512_storeu_ps(out + q * kBlock, score[q]);
}

// Each loads the values of a group of 32 dims.
struct Int8Value {
  static constexpr int kGroupBytes = 32;
  static constexpr bool kGroupScales = false;
  static void load(const uint8_t* values, __m512& low, __m512& high) {
    low = load_half(values);
    high = load_half(values + 16);
  }

 private:
  static __m512 load_half(const uint8_t* values) {
    const __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(values));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(packed));
  }
};

struct Int4Value {
  static constexpr int kGroupBytes = 16;
  static constexpr bool kGroupScales = true;
  // The permutation looks at the low four bits of each lane only.
  static void load(const uint8_t* values, __m512& low, __m512& high) {
    const __m512 meanings = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
    const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(values)));
    low = _mm512_permutexvar_ps(bytes, meanings);
    high = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4), meanings);
  }
};

struct HalfValue {
  static constexpr int kGroupBytes = 64;
  static constexpr bool kGroupScales = false;
  static void load(const uint8_t* values, __m512& low, __m512& high) {
    low = load_halves(values);
    high = load_halves(values + 32);
  }
};

// Weights of a stripe's tokens for the values of one group of dims: [kQueries, *stride], as they are or, in
// `scaled`, times the group's scales.
template <int kQueries, typename Value>
inline const float* group_weights(const AirStripeView& stripe, int64_t group, const float* weights,
                                  float (*scaled)[AIR_STRIPE], int* stride) {
  *stride = Value::kGroupScales ? AIR_STRIPE : kBlock;
  if (!Value::kGroupScales) return weights;
  const __m512 scales = load_halves(stripe.value_scales + 32 * group);
  AIR_UNROLL
  for (int q = 0; q < kQueries; ++q) {
    _mm512_store_ps(scaled[q], _mm512_mul_ps(_mm512_loadu_ps(weights + q * kBlock), scales));
  }
  return scaled[0];
}

// acc [kQueries, D] = acc * correction + sum over tokens of weight * value, 32 dims at a time.
template <int kQueries, typename Value>
void add_values(const AirBlockView& view, int64_t dims, const float* weights, const float* corrections,
                float* acc) {
  const int64_t row_bytes = dims / AIR_GROUP * Value::kGroupBytes;
  for (int64_t d = 0; d < dims; d += AIR_GROUP) {
    __m512 low[kQueries], high[kQueries];
    AIR_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      const __m512 correction = _mm512_set1_ps(corrections[q]);
      low[q] = _mm512_mul_ps(_mm512_loadu_ps(acc + q * dims + d), correction);
      high[q] = _mm512_mul_ps(_mm512_loadu_ps(acc + q * dims + d + 16), correction);
    }
    const int64_t group = d / AIR_GROUP;
    for (int s = 0; s < view.stripe_count; ++s) {
      alignas(64) float scaled[kQueries][AIR_STRIPE];
      int stride;
      const float* stripe_weights =
          group_weights<kQueries, Value>(view.stripes[s], group, weights + s * AIR_STRIPE, scaled, &stride);
      const uint8_t* rows = view.stripes[s].values + group * Value::kGroupBytes;
      const uint8_t* next_rows = view.stripes[s].next_values + group * Value::kGroupBytes;
      for (uint32_t left = view.stripes[s].read; left != 0; left &= left - 1) {
        const int t = __builtin_ctz(left);
        fetch_line(next_rows + t * row_bytes);
        __m512 low_values, high_values;
        Value::load(rows + t * row_bytes, low_values, high_values);
        const float* weight = stripe_weights + t;
        AIR_UNROLL
        for (int q = 0; q < kQueries; ++q) {
          const __m512 w = _mm512_set1_ps(weight[q * stride]);
          low[q] = _mm512_fmadd_ps(w, low_values, low[q]);
          high[q] = _mm512_fmadd_ps(w, high_values, high[q]);
        }
      }
    }
    AIR_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      _mm512_storeu_ps(acc + q * dims + d, low[q]);
      _mm512_storeu_ps(acc + q * dims + d + 16, high[q]);
    }
  }
}

// Raises running_max [queries] to the largest scores; corrections [queries] are for what was summed before.
// Queries are taken by four; what the rows past the last one hold does not matter.
void update_maxima(int stripes, int queries, const AirScores& scores, float* running_max,
                   float* corrections) {
  const __mmask16 all = first_lanes(queries);
  const __m512 old_maxima = _mm512_maskz_loadu_ps(all, running_max);
  alignas(64) float maxima[AIR_ATTENTION_MAX_QUERIES];
  _mm512_store_ps(maxima, old_maxima);
  for (int q = 0; q < queries; q += 4) {
    __m512 largest[4];
    AIR_UNROLL
    for (int i = 0; i < 4; ++i) {
      largest[i] = _mm512_set1_ps(maxima[q + i]);
      for (int s = 0; s < stripes; ++s) {
        largest[i] = _mm512_max_ps(_mm512_load_ps(scores.of[q + i] + s * AIR_STRIPE), largest[i]);
      }
    }
    _mm_store_ps(maxima + q, reduce_max4(largest));
  }
  const __m512 new_maxima = _mm512_load_ps(maxima);
  _mm512_mask_storeu_ps(running_max, all, new_maxima);
  const __mmask16 started =
      _mm512_mask_cmp_ps_mask(all, old_maxima, _mm512_set1_ps(-__builtin_inff()), _CMP_NEQ_UQ);
  const __m512 exact = canonical_exp(_mm512_sub_ps(old_maxima, new_maxima));
  _mm512_mask_storeu_ps(corrections, all, _mm512_maskz_mov_ps(started, exact));
}

// Scores become weights p * value scale, 0 where unread; p is added to the lanes.
template <int kStripes, bool kInt8Values>
void weigh_tokens(const AirBlockView& view, int queries, const float* running_max, const float* corrections,
                  AirScores* scores, float (*lanes)[AIR_STRIPE]) {
  __mmask16 read[kStripes];
  __m512 value_scales[kStripes];
  AIR_UNROLL
  for (int s = 0; s < kStripes; ++s) {
    read[s] = static_cast<__mmask16>(view.stripes[s].read);
    if (kInt8Values) value_scales[s] = load_halves(view.stripes[s].value_scales);
  }
  for (int q = 0; q < queries; ++q) {
    const __m512 maximum = _mm512_set1_ps(running_max[q]);
    __m512 p[kStripes];
    AIR_UNROLL
    for (int s = 0; s < kStripes; ++s) {
      const __m512 score = _mm512_load_ps(scores->of[q] + s * AIR_STRIPE);
      p[s] = _mm512_maskz_mov_ps(read[s], canonical_exp(_mm512_sub_ps(score, maximum)));
    }
    __m512 sums = _mm512_mul_ps(_mm512_load_ps(lanes[q]), _mm512_set1_ps(corrections[q]));
    AIR_UNROLL
    for (int s = 0; s < kStripes; ++s) {
      sums = _mm512_add_ps(sums, p[s]);
      _mm512_store_ps(scores->of[q] + s * AIR_STRIPE,
                      kInt8Values ? _mm512_mul_ps(p[s], value_scales[s]) : p[s]);
    }
    _mm512_store_ps(lanes[q], sums);
  }
}

using Weigh = void (*)(const AirBlockView&, int, const float*, const float*, AirScores*,
                       float (*)[AIR_STRIPE]);

// Indexed by stripes - 1.
constexpr Weigh kWeighInt8[AIR_BLOCK_STRIPES] = {weigh_tokens<1, true>, weigh_tokens<2, true>,
                                                 weigh_tokens<3, true>, weigh_tokens<4, true>};
constexpr Weigh kWeighUnscaled[AIR_BLOCK_STRIPES] = {weigh_tokens<1, false>, weigh_tokens<2, false>,
                                                     weigh_tokens<3, false>, weigh_tokens<4, false>};

struct Ops {
  // Their sums fill the registers.
  static constexpr int kMostQueries = 8;
  static constexpr AirScoreKernel kScoreInt8[kMostQueries] = {score_int8<1>, score_int8<2>, score_int8<3>,
                                                              score_int8<4>, score_int8<5>, score_int8<6>,
                                                              score_int8<7>, score_int8<8>};
  static constexpr AirScoreKernel kScoreInt4[kMostQueries] = {score_int4<1>, score_int4<2>, score_int4<3>,
                                                              score_int4<4>, score_int4<5>, score_int4<6>,
                                                              score_int4<7>, score_int4<8>};
  static constexpr AirScoreKernel kScoreF16[kMostQueries] = {score_f16<1>, score_f16<2>, score_f16<3>,
                                                             score_f16<4>, score_f16<5>, score_f16<6>,
                                                             score_f16<7>, score_f16<8>};
  static constexpr AirValueKernel kAddInt8[kMostQueries] = {
      add_values<1, Int8Value>, add_values<2, Int8Value>, add_values<3, Int8Value>, add_values<4, Int8Value>,
      add_values<5, Int8Value>, add_values<6, Int8Value>, add_values<7, Int8Value>, add_values<8, Int8Value>};
  static constexpr AirValueKernel kAddInt4[kMostQueries] = {
      add_values<1, Int4Value>, add_values<2, Int4Value>, add_values<3, Int4Value>, add_values<4, Int4Value>,
      add_values<5, Int4Value>, add_values<6, Int4Value>, add_values<7, Int4Value>, add_values<8, Int4Value>};
  static constexpr AirValueKernel kAddF16[kMostQueries] = {
      add_values<1, HalfValue>, add_values<2, HalfValue>, add_values<3, HalfValue>, add_values<4, HalfValue>,
      add_values<5, HalfValue>, add_values<6, HalfValue>, add_values<7, HalfValue>, add_values<8, HalfValue>};

  static void weigh(const AirBlockWork& work, AirScores* scores, float* running_max,
                    float (*lanes)[AIR_STRIPE], float* corrections) {
    const bool int8_values = work.layout->value_type == AIR_KV_INT8;
    const int stripes = work.view->stripe_count;
    update_maxima(stripes, work.count, *scores, running_max, corrections);
    (int8_values ? kWeighInt8 : kWeighUnscaled)[stripes - 1](*work.view, work.count, running_max, corrections,
                                                             scores, lanes);
  }

  static float reduce(const float* lanes) { return reduce_lanes(_mm512_loadu_ps(lanes)); }
};

}  // namespace

void attention(const AirAttentionArgs* args) { attend<Ops>(args); }

}  // namespace air::avx512
