// Attention of one activation row against one KV head's pages, block by block with a running maximum
// (online softmax, arXiv 1805.02867). Lanes are tokens while scoring and dims while adding values; the heads
// of a call share every load of keys and values.
#include "kernels/avx2/ops.h"
#include "kernels/avx2/simd.h"
#include "kernels/shared/attention_stripes.h"

namespace air::avx2 {
namespace {

constexpr int kBlock = AIR_ATTENTION_BLOCK;
constexpr int kMaxHeads = AIR_ATTENTION_MAX_HEADS;

// The queries of one call, from `head` on.
struct Queries {
  const float* q;        // [heads, D]
  const int8_t* q_int8;  // [heads, D]
  const float* scales;   // [heads, D / 32]
};

struct Scores {
  alignas(64) float of[kMaxHeads][kBlock];  // scores, then p * value scale; columns are AirBlockView slots
};

// Scores of 8 tokens. keys: half a stripe of [D / 4][16][4] int8; key_scales: [8] binary16; out: [kHeads, kBlock].
template <int kHeads>
void score_int8(const AirKvLayout& layout, const Queries& queries, const uint8_t* keys,
                const uint8_t* key_scales, float* out) {
  const int64_t dims = layout.head_dim;
  const int64_t groups = dims / AIR_GROUP;
  __m256 score[kHeads];
  AIR_UNROLL
  for (int h = 0; h < kHeads; ++h) score[h] = _mm256_setzero_ps();
  for (int64_t g = 0; g < groups; ++g) {
    __m256i dot[kHeads];
    AIR_UNROLL
    for (int h = 0; h < kHeads; ++h) dot[h] = _mm256_setzero_si256();
    AIR_UNROLL
    for (int j = 0; j < 8; ++j) {
      const int64_t d = AIR_GROUP * g + 4 * j;
      const __m256i quads = load_bytes(keys + d * AIR_STRIPE);
      const __m256i magnitudes = _mm256_abs_epi8(quads);
      AIR_UNROLL
      for (int h = 0; h < kHeads; ++h) {
        const __m256i query = broadcast_quad(queries.q_int8 + h * dims + d);
        dot[h] = _mm256_add_epi32(dot[h], signed_dot(quads, magnitudes, query));
      }
    }
    AIR_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      const __m256 scale = _mm256_set1_ps(queries.scales[h * groups + g]);
      score[h] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[h]), scale, score[h]);
    }
  }
  const __m256 scales = load_halves(key_scales);
  AIR_UNROLL
  for (int h = 0; h < kHeads; ++h) _mm256_storeu_ps(out + h * kBlock, _mm256_mul_ps(score[h], scales));
}

// Scores of 8 tokens. keys: half a stripe of [D][16] binary16; out: [kHeads, kBlock].
template <int kHeads>
void score_f16(const AirKvLayout& layout, const Queries& queries, const uint8_t* keys, float* out) {
  const int64_t dims = layout.head_dim;
  __m256 score[kHeads];
  AIR_UNROLL
  for (int h = 0; h < kHeads; ++h) score[h] = _mm256_setzero_ps();
  for (int64_t d = 0; d < dims; ++d) {
    const __m256 key = load_halves(keys + d * AIR_STRIPE * 2);
    AIR_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      score[h] = _mm256_fmadd_ps(_mm256_set1_ps(queries.q[h * dims + d]), key, score[h]);
    }
  }
  AIR_UNROLL
  for (int h = 0; h < kHeads; ++h) _mm256_storeu_ps(out + h * kBlock, score[h]);
}

// Scores of the stripe's 16 tokens for kHeads heads from `head` on.
template <int kHeads>
void score_group(const AirKvLayout& layout, const Queries& all, int head, const AirStripeView& stripe,
                 float* out) {
  const int64_t dims = layout.head_dim;
  out += head * kBlock;
  if (layout.key_type == AIR_KV_INT8) {
    const Queries queries = {nullptr, all.q_int8 + head * dims, all.scales + head * (dims / AIR_GROUP)};
    score_int8<kHeads>(layout, queries, stripe.keys, stripe.key_scales, out);
    score_int8<kHeads>(layout, queries, stripe.keys + 32, stripe.key_scales + 16, out + 8);
  } else {
    const Queries queries = {all.q + head * dims, nullptr, nullptr};
    score_f16<kHeads>(layout, queries, stripe.keys, out);
    score_f16<kHeads>(layout, queries, stripe.keys + 16, out + 8);
  }
}

// out: [heads, kBlock], 16 columns written.
void score_heads(const AirAttentionArgs& args, const Queries& queries, const AirStripeView& stripe,
                 float* out) {
  int head = 0;
  for (; head + 4 <= args.heads; head += 4) score_group<4>(*args.layout, queries, head, stripe, out);
  for (; head + 2 <= args.heads; head += 2) score_group<2>(*args.layout, queries, head, stripe, out);
  for (; head < args.heads; ++head) score_group<1>(*args.layout, queries, head, stripe, out);
}

// Scores of all read tokens of the block; unread lanes become -infinity.
void score_block(const AirAttentionArgs& args, const AirBlockView& block, Scores* scores) {
  const Queries queries = {args.q, args.q_int8, args.q_scales};
  const Queries sink_queries = {args.sink_q, args.sink_q_int8, args.sink_q_scales};
  const __m256 unread = _mm256_set1_ps(-__builtin_inff());
  for (int s = 0; s < block.stripe_count; ++s) {
    const AirStripeView& stripe = block.stripes[s];
    float* out = &scores->of[0][s * AIR_STRIPE];
    Scores sinks;
    if (stripe.sink != 0) score_heads(args, sink_queries, stripe, &sinks.of[0][0]);
    if (stripe.sink != stripe.read) score_heads(args, queries, stripe, out);
    for (int lane = 0; lane < AIR_STRIPE; lane += 8) {
      const __m256i sink_lanes = lanes_of_bits(stripe.sink >> lane);
      const __m256i window_lanes = lanes_of_bits((stripe.read & ~stripe.sink) >> lane);
      for (int h = 0; h < args.heads; ++h) {
        float* score = out + h * kBlock + lane;
        const __m256 window = _mm256_maskload_ps(score, window_lanes);
        const __m256 sink = _mm256_maskload_ps(&sinks.of[h][lane], sink_lanes);
        const __m256 chosen = _mm256_blendv_ps(unread, window, _mm256_castsi256_ps(window_lanes));
        _mm256_storeu_ps(score, _mm256_blendv_ps(chosen, sink, _mm256_castsi256_ps(sink_lanes)));
      }
    }
  }
}

// Turns 8 scores into weights p * value scale, 0 where unread. Returns p.
inline __m256 weigh_half(const AirStripeView& stripe, int lane, bool int8_values, __m256 maxima,
                         float* scores) {
  const __m256 read = _mm256_castsi256_ps(lanes_of_bits(stripe.read >> lane));
  const __m256 p = _mm256_and_ps(canonical_exp(_mm256_sub_ps(_mm256_loadu_ps(scores), maxima)), read);
  const __m256 weight = int8_values ? _mm256_mul_ps(p, load_halves(stripe.value_scales + 2 * lane)) : p;
  _mm256_storeu_ps(scores, weight);
  return p;
}

// Turns a head's scores into weights; updates its maximum and lane sums [16]. Returns the correction for what
// was summed before.
float weigh_tokens(const AirBlockView& block, bool int8_values, float* scores, float* running_max,
                   float* lanes) {
  const float old_max = *running_max;
  __m256 largest = _mm256_set1_ps(old_max);
  for (int i = 0; i < block.stripe_count * AIR_STRIPE; i += 8) {
    largest = _mm256_max_ps(_mm256_loadu_ps(scores + i), largest);
  }
  const float new_max = reduce_max(largest);
  const __m256 maxima = _mm256_set1_ps(new_max);
  float correction = 0.0f;
  if (old_max != -__builtin_inff()) {
    correction = _mm256_cvtss_f32(canonical_exp(_mm256_set1_ps(old_max - new_max)));
  }
  __m256 low = _mm256_mul_ps(_mm256_loadu_ps(lanes), _mm256_set1_ps(correction));
  __m256 high = _mm256_mul_ps(_mm256_loadu_ps(lanes + 8), _mm256_set1_ps(correction));
  for (int s = 0; s < block.stripe_count; ++s) {
    float* stripe_scores = scores + s * AIR_STRIPE;
    low = _mm256_add_ps(low, weigh_half(block.stripes[s], 0, int8_values, maxima, stripe_scores));
    high = _mm256_add_ps(high, weigh_half(block.stripes[s], 8, int8_values, maxima, stripe_scores + 8));
  }
  _mm256_storeu_ps(lanes, low);
  _mm256_storeu_ps(lanes + 8, high);
  *running_max = new_max;
  return correction;
}

struct Int8Value {
  static constexpr int kBytes = 1;
  static __m256 load(const uint8_t* values) {
    const __m128i packed = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(values));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(packed));
  }
};

struct HalfValue {
  static constexpr int kBytes = 2;
  static __m256 load(const uint8_t* values) { return load_halves(values); }
};

// acc [kHeads, D] = acc * correction + sum over tokens of weight * value, as many dims at a time as give
// 4 or 8 independent sums.
template <int kHeads, typename Value>
void add_values(const AirBlockView& block, int64_t dims, const float* weights, const float* corrections,
                float* acc) {
  constexpr int kVectors = kHeads == 4 ? 2 : 4;
  for (int64_t d = 0; d < dims; d += 8 * kVectors) {
    __m256 sums[kHeads][kVectors];
    AIR_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      const __m256 correction = _mm256_set1_ps(corrections[h]);
      AIR_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        sums[h][v] = _mm256_mul_ps(_mm256_loadu_ps(acc + h * dims + d + 8 * v), correction);
      }
    }
    for (int i = 0; i < block.token_count; ++i) {
      const uint8_t* row = block.values[i] + d * Value::kBytes;
      const float* weight = weights + block.slots[i];
      __m256 values[kVectors];
      AIR_UNROLL
      for (int v = 0; v < kVectors; ++v) values[v] = Value::load(row + 8 * v * Value::kBytes);
      AIR_UNROLL
      for (int h = 0; h < kHeads; ++h) {
        const __m256 w = _mm256_set1_ps(weight[h * kBlock]);
        AIR_UNROLL
        for (int v = 0; v < kVectors; ++v) sums[h][v] = _mm256_fmadd_ps(w, values[v], sums[h][v]);
      }
    }
    AIR_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      AIR_UNROLL
      for (int v = 0; v < kVectors; ++v) _mm256_storeu_ps(acc + h * dims + d + 8 * v, sums[h][v]);
    }
  }
}

template <typename Value>
void add_block_values(const AirAttentionArgs& args, const AirBlockView& block, const Scores& weights,
                      const float* corrections) {
  const int64_t dims = args.layout->head_dim;
  int head = 0;
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
  for (int h = 0; h < args->heads; ++h)
    args->running_sum[h] = reduce_lanes(_mm256_loadu_ps(lanes[h]), _mm256_loadu_ps(lanes[h] + 8));
}

}  // namespace air::avx2
