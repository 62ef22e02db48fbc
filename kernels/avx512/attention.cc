// Attention of one activation row against one KV head's pages, block by block with a running maximum
// (online softmax, arXiv 1805.02867). Lanes are tokens while scoring and dims while adding values; the heads
// of a call share every load of keys and values.
#include "kernels/avx512/ops.h"
#include "kernels/avx512/simd.h"
#include "kernels/shared/attention_stripes.h"

namespace air::avx512 {
namespace {

constexpr int kBlock = AIR_ATTENTION_BLOCK;
constexpr int kMaxHeads = AIR_ATTENTION_MAX_HEADS;

// The queries of one call, from `head` on.
struct Queries {
  const float* q;         // [heads, D]
  const int8_t* q_int8;   // [heads, D]
  const float* scales;    // [heads, D / 32]
  const int32_t* sums16;  // [heads, D / 16]
};

struct Scores {
  alignas(64) float of[kMaxHeads][kBlock];  // scores, then p * value scale; columns are AirBlockView slots
};

// out: [kHeads, kBlock], 16 columns written. keys: the stripe, [D / 4][16][4] int8.
template <int kHeads>
void score_int8(const AirKvLayout& layout, const Queries& queries, const AirStripeView& stripe, float* out) {
  const int64_t dims = layout.head_dim;
  const int64_t groups = dims / AIR_GROUP;
  const __m512i sign_bits = _mm512_set1_epi8(-128);
  __m512 score[kHeads];
  AIR_UNROLL
  for (int h = 0; h < kHeads; ++h) score[h] = _mm512_setzero_ps();
  for (int64_t g = 0; g < groups; ++g) {
    // Keys become unsigned by adding 128; 128 times the query's sum is taken off beforehand.
    __m512i dot[kHeads];
    AIR_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      const int32_t* sums = queries.sums16 + (h * groups + g) * 2;
      dot[h] = _mm512_set1_epi32(-128 * (sums[0] + sums[1]));
    }
    AIR_UNROLL
    for (int j = 0; j < 8; ++j) {
      const int64_t d = AIR_GROUP * g + 4 * j;
      const __m512i keys = _mm512_xor_si512(_mm512_loadu_si512(stripe.keys + d * AIR_STRIPE), sign_bits);
      AIR_UNROLL
      for (int h = 0; h < kHeads; ++h) {
        dot[h] = _mm512_dpbusd_epi32(dot[h], keys, broadcast_quad(queries.q_int8 + h * dims + d));
      }
    }
    AIR_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      const __m512 scale = _mm512_set1_ps(queries.scales[h * groups + g]);
      score[h] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[h]), scale, score[h]);
    }
  }
  const __m512 key_scales = load_halves(stripe.key_scales);
  AIR_UNROLL
  for (int h = 0; h < kHeads; ++h) _mm512_storeu_ps(out + h * kBlock, _mm512_mul_ps(score[h], key_scales));
}

// out: [kHeads, kBlock], 16 columns written. keys: the stripe, [D][16] binary16.
template <int kHeads>
void score_f16(const AirKvLayout& layout, const Queries& queries, const AirStripeView& stripe, float* out) {
  const int64_t dims = layout.head_dim;
  __m512 score[kHeads];
  AIR_UNROLL
  for (int h = 0; h < kHeads; ++h) score[h] = _mm512_setzero_ps();
  for (int64_t d = 0; d < dims; ++d) {
    const __m512 keys = load_halves(stripe.keys + d * AIR_STRIPE * 2);
    AIR_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      score[h] = _mm512_fmadd_ps(_mm512_set1_ps(queries.q[h * dims + d]), keys, score[h]);
    }
  }
  AIR_UNROLL
  for (int h = 0; h < kHeads; ++h) _mm512_storeu_ps(out + h * kBlock, score[h]);
}

template <int kHeads>
void score_group(const AirKvLayout& layout, const Queries& all, int head, const AirStripeView& stripe,
                 float* out) {
  const int64_t dims = layout.head_dim;
  if (layout.key_type == AIR_KV_INT8) {
    const Queries queries = {nullptr, all.q_int8 + head * dims, all.scales + head * (dims / AIR_GROUP),
                             all.sums16 + head * (dims / 16)};
    score_int8<kHeads>(layout, queries, stripe, out + head * kBlock);
  } else {
    const Queries queries = {all.q + head * dims, nullptr, nullptr, nullptr};
    score_f16<kHeads>(layout, queries, stripe, out + head * kBlock);
  }
}

// out: [heads, kBlock], 16 columns written.
void score_heads(const AirAttentionArgs& args, const Queries& queries, const AirStripeView& stripe,
                 float* out) {
  int head = 0;
  for (; head + 8 <= args.heads; head += 8) score_group<8>(*args.layout, queries, head, stripe, out);
  for (; head + 4 <= args.heads; head += 4) score_group<4>(*args.layout, queries, head, stripe, out);
  for (; head + 2 <= args.heads; head += 2) score_group<2>(*args.layout, queries, head, stripe, out);
  for (; head < args.heads; ++head) score_group<1>(*args.layout, queries, head, stripe, out);
}

// Scores of all read tokens of the block; unread lanes become -infinity.
void score_block(const AirAttentionArgs& args, const AirBlockView& block, Scores* scores) {
  const Queries queries = {args.q, args.q_int8, args.q_scales, args.q_sums16};
  const Queries sink_queries = {args.sink_q, args.sink_q_int8, args.sink_q_scales, args.sink_q_sums16};
  const __m512 unread = _mm512_set1_ps(-__builtin_inff());
  for (int s = 0; s < block.stripe_count; ++s) {
    const AirStripeView& stripe = block.stripes[s];
    float* out = &scores->of[0][s * AIR_STRIPE];
    Scores sinks;
    if (stripe.sink != 0) score_heads(args, sink_queries, stripe, &sinks.of[0][0]);
    if (stripe.sink != stripe.read) score_heads(args, queries, stripe, out);
    const __mmask16 sink_lanes = static_cast<__mmask16>(stripe.sink);
    const __mmask16 window_lanes = static_cast<__mmask16>(stripe.read & ~stripe.sink);
    for (int h = 0; h < args.heads; ++h) {
      __m512 score = _mm512_mask_loadu_ps(unread, window_lanes, out + h * kBlock);
      score = _mm512_mask_loadu_ps(score, sink_lanes, sinks.of[h]);
      _mm512_storeu_ps(out + h * kBlock, score);
    }
  }
}

// Turns a head's scores into weights p * value scale; updates its maximum and lane sums [16]. Returns the
// correction for what was summed before.
float weigh_tokens(const AirBlockView& block, bool int8_values, float* scores, float* running_max,
                   float* lanes) {
  const float old_max = *running_max;
  __m512 largest = _mm512_set1_ps(old_max);
  for (int s = 0; s < block.stripe_count; ++s) {
    largest = _mm512_max_ps(_mm512_loadu_ps(scores + s * AIR_STRIPE), largest);
  }
  const float new_max = _mm512_reduce_max_ps(largest);
  const __m512 new_maxima = _mm512_set1_ps(new_max);
  float correction = 0.0f;
  if (old_max != -__builtin_inff())
    correction = _mm512_cvtss_f32(canonical_exp(_mm512_set1_ps(old_max - new_max)));
  __m512 sums = _mm512_mul_ps(_mm512_loadu_ps(lanes), _mm512_set1_ps(correction));
  for (int s = 0; s < block.stripe_count; ++s) {
    const AirStripeView& stripe = block.stripes[s];
    const __mmask16 read = static_cast<__mmask16>(stripe.read);
    const __m512 score = _mm512_loadu_ps(scores + s * AIR_STRIPE);
    __m512 p = _mm512_maskz_mov_ps(read, canonical_exp(_mm512_sub_ps(score, new_maxima)));
    sums = _mm512_add_ps(sums, p);
    if (int8_values) p = _mm512_mul_ps(p, load_halves(stripe.value_scales));
    _mm512_storeu_ps(scores + s * AIR_STRIPE, p);
  }
  _mm512_storeu_ps(lanes, sums);
  *running_max = new_max;
  return correction;
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

// acc [kHeads, D] = acc * correction + sum over tokens of weight * value, 32 dims at a time.
template <int kHeads, typename Value>
void add_values(const AirBlockView& block, int64_t dims, const float* weights, const float* corrections,
                float* acc) {
  for (int64_t d = 0; d < dims; d += 32) {
    __m512 low[kHeads], high[kHeads];
    AIR_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      const __m512 correction = _mm512_set1_ps(corrections[h]);
      low[h] = _mm512_mul_ps(_mm512_loadu_ps(acc + h * dims + d), correction);
      high[h] = _mm512_mul_ps(_mm512_loadu_ps(acc + h * dims + d + 16), correction);
    }
    for (int i = 0; i < block.token_count; ++i) {
      const uint8_t* values = block.values[i] + d * Value::kBytes;
      const __m512 low_values = Value::load(values);
      const __m512 high_values = Value::load(values + 16 * Value::kBytes);
      const float* weight = weights + block.slots[i];
      AIR_UNROLL
      for (int h = 0; h < kHeads; ++h) {
        const __m512 w = _mm512_set1_ps(weight[h * kBlock]);
        low[h] = _mm512_fmadd_ps(w, low_values, low[h]);
        high[h] = _mm512_fmadd_ps(w, high_values, high[h]);
      }
    }
    AIR_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      _mm512_storeu_ps(acc + h * dims + d, low[h]);
      _mm512_storeu_ps(acc + h * dims + d + 16, high[h]);
    }
  }
}

template <typename Value>
void add_block_values(const AirAttentionArgs& args, const AirBlockView& block, const Scores& weights,
                      const float* corrections) {
  const int64_t dims = args.layout->head_dim;
  int head = 0;
  for (; head + 8 <= args.heads; head += 8) {
    add_values<8, Value>(block, dims, weights.of[head], corrections + head, args.acc + head * dims);
  }
  for (; head + 4 <= args.heads; head += 4) {
    add_values<4, Value>(block, dims, weights.of[head], corrections + head, args.acc + head * dims);
  }
  for (; head + 2 <= args.heads; head += 2) {
    add_values<2, Value>(block, dims, weights.of[head], corrections + head, args.acc + head * dims);
  }
  for (; head < args.heads; ++head) {
    add_values<1, Value>(block, dims, weights.of[head], corrections + head, args.acc + head * dims);
  }
}

}  // namespace

void attention(const AirAttentionArgs* args) {
  alignas(64) float lanes[kMaxHeads][AIR_STRIPE] = {};
  const bool int8_values = args->layout->value_type == AIR_KV_INT8;
  const size_t acc_bytes = sizeof(float) * static_cast<size_t>(args->heads * args->layout->head_dim);
  memset(args->acc, 0, acc_bytes);
  for (int h = 0; h < args->heads; ++h) args->running_max[h] = -__builtin_inff();

  for (int64_t start = args->begin; start < args->end; start += kBlock) {
    start = skip_gap(args, start);
    AirBlockView block;
    view_block(args, start, &block);
    if (block.token_count == 0) continue;
    Scores scores;
    float corrections[kMaxHeads];
    score_block(*args, block, &scores);
    for (int h = 0; h < args->heads; ++h) {
      corrections[h] = weigh_tokens(block, int8_values, scores.of[h], &args->running_max[h], lanes[h]);
    }
    if (int8_values) {
      add_block_values<Int8Value>(*args, block, scores, corrections);
    } else {
      add_block_values<HalfValue>(*args, block, scores, corrections);
    }
  }
  for (int h = 0; h < args->heads; ++h) args->running_sum[h] = reduce_lanes(_mm512_loadu_ps(lanes[h]));
}

}  // namespace air::avx512
