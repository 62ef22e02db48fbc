// The arithmetic of attention; kernels/shared/attention_driver.h has the rest.
#include "kernels/avx512/ops.h"
#include "kernels/avx512/simd.h"
#include "kernels/shared/attention_driver.h"

namespace air::avx512 {
namespace {

constexpr int kBlock = AIR_ATTENTION_BLOCK;
// Queries that one pass over keys or values serves: their sums fill the registers.
constexpr int kMostQueries = 8;

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
    const __m512 keys = load_halves(stripe.keys + d * AIR_STRIPE * 2);
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
      for (uint32_t left = view.stripes[s].read; left != 0; left &= left - 1) {
        const int t = __builtin_ctz(left);
        const uint8_t* row = rows + t * dims * Value::kBytes;
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

using Score = void (*)(const AirQueryPanel&, int, int64_t, const AirStripeView&, float*);
using AddValues = void (*)(const AirBlockView&, int64_t, const float*, const float*, float*);

// Indexed by queries - 1.
constexpr Score kScoreInt8[kMostQueries] = {score_int8<1>, score_int8<2>, score_int8<3>, score_int8<4>,
                                            score_int8<5>, score_int8<6>, score_int8<7>, score_int8<8>};
constexpr Score kScoreF16[kMostQueries] = {score_f16<1>, score_f16<2>, score_f16<3>, score_f16<4>,
                                           score_f16<5>, score_f16<6>, score_f16<7>, score_f16<8>};
template <typename Value>
constexpr AddValues kAddValues[kMostQueries] = {
    add_values<1, Value>, add_values<2, Value>, add_values<3, Value>, add_values<4, Value>,
    add_values<5, Value>, add_values<6, Value>, add_values<7, Value>, add_values<8, Value>};

struct Ops {
  static void score(const AirQueryPanel& panel, const AirBlockWork& work, const AirStripeView& stripe,
                    float* out) {
    const Score* scores = work.layout->key_type == AIR_KV_INT8 ? kScoreInt8 : kScoreF16;
    for (int q = 0; q < work.count; q += kMostQueries) {
      const int count = work.count - q < kMostQueries ? work.count - q : kMostQueries;
      scores[count - 1](panel, work.first + q, work.layout->head_dim, stripe, out + q * kBlock);
    }
  }

  static void weigh(const AirBlockWork& work, AirScores* scores, float* running_max,
                    float (*lanes)[AIR_STRIPE], float* corrections) {
    const AirBlockView& view = *work.view;
    const bool int8_values = work.layout->value_type == AIR_KV_INT8;
    const __mmask16 all = first_lanes(work.count);
    const __m512 old_maxima = _mm512_maskz_loadu_ps(all, running_max);
    for (int q = 0; q < work.count; ++q) {
      __m512 largest = _mm512_set1_ps(running_max[q]);
      for (int s = 0; s < view.stripe_count; ++s) {
        largest = _mm512_max_ps(_mm512_loadu_ps(scores->of[q] + s * AIR_STRIPE), largest);
      }
      running_max[q] = _mm512_reduce_max_ps(largest);
    }
    const __mmask16 started =
        _mm512_mask_cmp_ps_mask(all, old_maxima, _mm512_set1_ps(-__builtin_inff()), _CMP_NEQ_UQ);
    const __m512 new_maxima = _mm512_maskz_loadu_ps(all, running_max);
    _mm512_mask_storeu_ps(corrections, all,
                          _mm512_maskz_mov_ps(started, canonical_exp(_mm512_sub_ps(old_maxima, new_maxima))));
    for (int q = 0; q < work.count; ++q) {
      const __m512 maximum = _mm512_set1_ps(running_max[q]);
      __m512 sums = _mm512_mul_ps(_mm512_loadu_ps(lanes[q]), _mm512_set1_ps(corrections[q]));
      for (int s = 0; s < view.stripe_count; ++s) {
        const AirStripeView& stripe = view.stripes[s];
        float* score = scores->of[q] + s * AIR_STRIPE;
        __m512 p = _mm512_maskz_mov_ps(static_cast<__mmask16>(stripe.read),
                                       canonical_exp(_mm512_sub_ps(_mm512_loadu_ps(score), maximum)));
        sums = _mm512_add_ps(sums, p);
        if (int8_values) p = _mm512_mul_ps(p, load_halves(stripe.value_scales));
        _mm512_storeu_ps(score, p);
      }
      _mm512_storeu_ps(lanes[q], sums);
    }
  }

  static void add_values(const AirBlockWork& work, const AirScores& weights, const float* corrections,
                         float* acc) {
    const int64_t dims = work.layout->head_dim;
    const AddValues* adders =
        work.layout->value_type == AIR_KV_INT8 ? kAddValues<Int8Value> : kAddValues<HalfValue>;
    for (int q = 0; q < work.count; q += kMostQueries) {
      const int count = work.count - q < kMostQueries ? work.count - q : kMostQueries;
      adders[count - 1](*work.view, dims, weights.of[q], corrections + q, acc + q * dims);
    }
  }

  static float reduce(const float* lanes) { return reduce_lanes(_mm512_loadu_ps(lanes)); }
};

}  // namespace

void attention(const AirAttentionArgs* args) { attend<Ops>(args); }

}  // namespace air::avx512
