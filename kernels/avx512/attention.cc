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
      __builtin_prefetch(stripe.next_keys + 64 * quad);
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

// out: [kQueries, kBlock], 16 columns written. keys: the stripe, [D][16] binary16.
template <int kQueries>
void score_f16(const AirQueryPanel& panel, int first, int64_t dims, const AirStripeView& stripe, float* out) {
  __m512 score[kQueries];
  AIR_UNROLL
  for (int q = 0; q < kQueries; ++q) score[q] = _mm512_setzero_ps();
  for (int64_t d = 0; d < dims; ++d) {
    __builtin_prefetch(stripe.next_keys + 32 * d);
    const __m512 keys = load_halves(stripe.keys + 32 * d);
    AIR_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      score[q] = _mm512_fmadd_ps(_mm512_set1_ps(panel.values[d][first + q]), keys, score[q]);
    }
  }
  AIR_UNROLL
  for (int q = 0; q < kQueries; ++q) _mm512_storeu_ps(out + q * kBlock, score[q]);
}

struct Int8Value {
  static constexpr int kBytes = 1;
  static __m512 load(const uint8_t* values) {
    const __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(values));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(packed));
  }
};

struct HalfValue {
  static constexpr int kBytes = 2;
  static __m512 load(const uint8_t* values) { return load_halves(values); }
};

// acc [kQueries, D] = acc * correction + sum over tokens of weight * value, 32 dims at a time.
template <int kQueries, typename Value>
void add_values(const AirBlockView& view, int64_t dims, const float* weights, const float* corrections,
                float* acc) {
  for (int64_t d = 0; d < dims; d += 32) {
    __m512 low[kQueries], high[kQueries];
    AIR_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      const __m512 correction = _mm512_set1_ps(corrections[q]);
      low[q] = _mm512_mul_ps(_mm512_loadu_ps(acc + q * dims + d), correction);
      high[q] = _mm512_mul_ps(_mm512_loadu_ps(acc + q * dims + d + 16), correction);
    }
    for (int s = 0; s < view.stripe_count; ++s) {
      const uint8_t* rows = view.stripes[s].values + d * Value::kBytes;
      const uint8_t* next_rows = view.stripes[s].next_values + d * Value::kBytes;
      for (uint32_t left = view.stripes[s].read; left != 0; left &= left - 1) {
        const int t = __builtin_ctz(left);
        const uint8_t* row = rows + t * dims * Value::kBytes;
        __builtin_prefetch(next_rows + t * dims * Value::kBytes);
        const __m512 low_values = Value::load(row);
        const __m512 high_values = Value::load(row + 16 * Value::kBytes);
        const float* weight = weights + s * AIR_STRIPE + t;
        AIR_UNROLL
        for (int q = 0; q < kQueries; ++q) {
          const __m512 w = _mm512_set1_ps(weight[q * kBlock]);
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
constexpr Weigh kWeighF16[AIR_BLOCK_STRIPES] = {weigh_tokens<1, false>, weigh_tokens<2, false>,
                                                weigh_tokens<3, false>, weigh_tokens<4, false>};

struct Ops {
  // Their sums fill the registers.
  static constexpr int kMostQueries = 8;
  static constexpr AirScoreKernel kScoreInt8[kMostQueries] = {score_int8<1>, score_int8<2>, score_int8<3>,
                                                              score_int8<4>, score_int8<5>, score_int8<6>,
                                                              score_int8<7>, score_int8<8>};
  static constexpr AirScoreKernel kScoreF16[kMostQueries] = {score_f16<1>, score_f16<2>, score_f16<3>,
                                                             score_f16<4>, score_f16<5>, score_f16<6>,
                                                             score_f16<7>, score_f16<8>};
  static constexpr AirValueKernel kAddInt8[kMostQueries] = {
      add_values<1, Int8Value>, add_values<2, Int8Value>, add_values<3, Int8Value>, add_values<4, Int8Value>,
      add_values<5, Int8Value>, add_values<6, Int8Value>, add_values<7, Int8Value>, add_values<8, Int8Value>};
  static constexpr AirValueKernel kAddF16[kMostQueries] = {
      add_values<1, HalfValue>, add_values<2, HalfValue>, add_values<3, HalfValue>, add_values<4, HalfValue>,
      add_values<5, HalfValue>, add_values<6, HalfValue>, add_values<7, HalfValue>, add_values<8, HalfValue>};

  static void weigh(const AirBlockWork& work, AirScores* scores, float* running_max,
                    float (*lanes)[AIR_STRIPE], float* corrections) {
    const bool int8_values = work.layout->value_type == AIR_KV_INT8;
    const int stripes = work.view->stripe_count;
    update_maxima(stripes, work.count, *scores, running_max, corrections);
    (int8_values ? kWeighInt8 : kWeighF16)[stripes - 1](*work.view, work.count, running_max, corrections,
                                                        scores, lanes);
  }

  static float reduce(const float* lanes) { return reduce_lanes(_mm512_loadu_ps(lanes)); }
};

}  // namespace

void attention(const AirAttentionArgs* args) { attend<Ops>(args); }

}  // namespace air::avx512
