// Attention of one activation row against one KV head's pages, block by block with a running maximum
// (online softmax, arXiv 1805.02867). Lanes are tokens while scoring and dims while adding values; the heads
// of a call share every load of keys and values.
#include "kernels/neon/ops.h"
#include "kernels/neon/simd.h"
#include "kernels/shared/attention_stripes.h"

namespace air::neon {
namespace {

constexpr int kBlock = AIR_ATTENTION_BLOCK;
constexpr int kMaxHeads = AIR_ATTENTION_MAX_HEADS;
constexpr int kQuads = AIR_STRIPE / 4;  // registers of 4 tokens

// The queries of one call, from `head` on.
struct Queries {
  const float* q;        // [heads, D]
  const int8_t* q_int8;  // [heads, D]
  const float* scales;   // [heads, D / 32]
};

struct Scores {
  alignas(64) float of[kMaxHeads][kBlock];  // scores, then p * value scale; columns are AirBlockView slots
};

// out: [kHeads, kBlock], 16 columns written. keys: the stripe, [D / 4][16][4] int8.
template <int kHeads>
void score_int8(const AirKvLayout& layout, const Queries& queries, const AirStripeView& stripe, float* out) {
  const int64_t dims = layout.head_dim;
  const int64_t groups = dims / AIR_GROUP;
  float32x4_t score[kHeads][kQuads];
  AIR_UNROLL
  for (int h = 0; h < kHeads; ++h) {
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) score[h][c] = vdupq_n_f32(0.0f);
  }
  for (int64_t g = 0; g < groups; ++g) {
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) {
      int8x16_t keys[8];  // keys[j]: dims 4 j .. 4 j + 3 of the group
      AIR_UNROLL
      for (int j = 0; j < 8; ++j) keys[j] = load_bytes(stripe.keys + (8 * g + j) * 64 + 16 * c);
      AIR_UNROLL
      for (int h = 0; h < kHeads; ++h) {
        const int8_t* query = queries.q_int8 + h * dims + AIR_GROUP * g;
        int32x4_t dot = add_dot16(keys, load_bytes(query), vdupq_n_s32(0));
        dot = add_dot16(keys + 4, load_bytes(query + 16), dot);
        score[h][c] = vfmaq_n_f32(score[h][c], vcvtq_f32_s32(dot), queries.scales[h * groups + g]);
      }
    }
  }
  float32x4_t key_scales[kQuads];
  load_halves(stripe.key_scales, key_scales);
  AIR_UNROLL
  for (int h = 0; h < kHeads; ++h) {
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) {
      vst1q_f32(out + h * kBlock + 4 * c, vmulq_f32(score[h][c], key_scales[c]));
    }
  }
}

// out: [kHeads, kBlock], 16 columns written. keys: the stripe, [D][16] binary16.
template <int kHeads>
void score_f16(const AirKvLayout& layout, const Queries& queries, const AirStripeView& stripe, float* out) {
  const int64_t dims = layout.head_dim;
  float32x4_t score[kHeads][kQuads];
  AIR_UNROLL
  for (int h = 0; h < kHeads; ++h) {
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) score[h][c] = vdupq_n_f32(0.0f);
  }
  for (int64_t d = 0; d < dims; ++d) {
    float32x4_t keys[kQuads];
    load_halves(stripe.keys + d * AIR_STRIPE * 2, keys);
    AIR_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      const float query = queries.q[h * dims + d];
      AIR_UNROLL
      for (int c = 0; c < kQuads; ++c) score[h][c] = vfmaq_n_f32(score[h][c], keys[c], query);
    }
  }
  AIR_UNROLL
  for (int h = 0; h < kHeads; ++h) {
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) vst1q_f32(out + h * kBlock + 4 * c, score[h][c]);
  }
}

// Scores of the stripe's 16 tokens for kHeads heads from `head` on.
template <int kHeads>
void score_group(const AirKvLayout& layout, const Queries& all, int head, const AirStripeView& stripe,
                 float* out) {
  const int64_t dims = layout.head_dim;
  if (layout.key_type == AIR_KV_INT8) {
    const Queries queries = {nullptr, all.q_int8 + head * dims, all.scales + head * (dims / AIR_GROUP)};
    score_int8<kHeads>(layout, queries, stripe, out + head * kBlock);
  } else {
    const Queries queries = {all.q + head * dims, nullptr, nullptr};
    score_f16<kHeads>(layout, queries, stripe, out + head * kBlock);
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
  const float32x4_t unread = vdupq_n_f32(-__builtin_inff());
  for (int s = 0; s < block.stripe_count; ++s) {
    const AirStripeView& stripe = block.stripes[s];
    float* out = &scores->of[0][s * AIR_STRIPE];
    Scores sinks;
    if (stripe.sink != 0) score_heads(args, sink_queries, stripe, &sinks.of[0][0]);
    if (stripe.sink != stripe.read) score_heads(args, queries, stripe, out);
    for (int lane = 0; lane < AIR_STRIPE; lane += 4) {
      const uint32x4_t read_lanes = lanes_of_bits(stripe.read >> lane);
      const uint32x4_t sink_lanes = lanes_of_bits(stripe.sink >> lane);
      for (int h = 0; h < args.heads; ++h) {
        float* score = out + h * kBlock + lane;
        float32x4_t chosen = vbslq_f32(read_lanes, vld1q_f32(score), unread);
        if (stripe.sink != 0) chosen = vbslq_f32(sink_lanes, vld1q_f32(&sinks.of[h][lane]), chosen);
        vst1q_f32(score, chosen);
      }
    }
  }
}

// Turns a stripe's 16 scores into weights p * value scale, 0 where unread; adds p to lanes [16].
inline void weigh_stripe(const AirStripeView& stripe, bool int8_values, float32x4_t maxima, float* scores,
                         float32x4_t (&lanes)[kQuads]) {
  float32x4_t value_scales[kQuads];
  if (int8_values) load_halves(stripe.value_scales, value_scales);
  AIR_UNROLL
  for (int c = 0; c < kQuads; ++c) {
    const float32x4_t weight = canonical_exp(vsubq_f32(vld1q_f32(scores + 4 * c), maxima));
    const uint32x4_t read = lanes_of_bits(stripe.read >> (4 * c));
    const float32x4_t p = vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(weight), read));
    lanes[c] = vaddq_f32(lanes[c], p);
    vst1q_f32(scores + 4 * c, int8_values ? vmulq_f32(p, value_scales[c]) : p);
  }
}

// Turns a head's scores into weights; updates its maximum and lane sums. Returns the correction for what was
// summed before.
float weigh_tokens(const AirBlockView& block, bool int8_values, float* scores, float* running_max,
                   float32x4_t (&lanes)[kQuads]) {
  const float old_max = *running_max;
  float32x4_t largest = vdupq_n_f32(old_max);
  for (int i = 0; i < block.stripe_count * AIR_STRIPE; i += 4) {
    largest = vmaxnmq_f32(largest, vld1q_f32(scores + i));  // the number, of a number and a NaN
  }
  const float new_max = vmaxnmvq_f32(largest);
  float correction = 0.0f;
  if (old_max != -__builtin_inff()) {
    correction = vgetq_lane_f32(canonical_exp(vdupq_n_f32(old_max - new_max)), 0);
  }
  AIR_UNROLL
  for (int c = 0; c < kQuads; ++c) lanes[c] = vmulq_n_f32(lanes[c], correction);
  for (int s = 0; s < block.stripe_count; ++s) {
    weigh_stripe(block.stripes[s], int8_values, vdupq_n_f32(new_max), scores + s * AIR_STRIPE, lanes);
  }
  *running_max = new_max;
  return correction;
}

struct Int8Value {
  static constexpr int kBytes = 1;
  // Each byte goes to the top of a 32-bit lane; the conversion divides by 2^24. That is shorter than widening
  // twice, and exact.
  template <int kVectors>
  static void load(const uint8_t* values, float32x4_t (&out)[kVectors]) {
    static const uint8_t kTopBytes[4][16] = {
        {255, 255, 255, 0, 255, 255, 255, 1, 255, 255, 255, 2, 255, 255, 255, 3},
        {255, 255, 255, 4, 255, 255, 255, 5, 255, 255, 255, 6, 255, 255, 255, 7},
        {255, 255, 255, 8, 255, 255, 255, 9, 255, 255, 255, 10, 255, 255, 255, 11},
        {255, 255, 255, 12, 255, 255, 255, 13, 255, 255, 255, 14, 255, 255, 255, 15}};
    AIR_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const int8x16_t top = vqtbl1q_s8(load_bytes(values + v / 4 * 16), vld1q_u8(kTopBytes[v % 4]));
      out[v] = vcvtq_n_f32_s32(vreinterpretq_s32_s8(top), 24);
    }
  }
};

struct HalfValue {
  static constexpr int kBytes = 2;
  template <int kVectors>
  static void load(const uint8_t* values, float32x4_t (&out)[kVectors]) {
    load_halves(values, out);
  }
};

// acc [kHeads, D] = acc * correction + sum over tokens of weight * value, as many dims at a time as give 8 or
// 16 independent sums.
template <int kHeads, typename Value>
void add_values(const AirBlockView& block, int64_t dims, const float* weights, const float* corrections,
                float* acc) {
  constexpr int kVectors = kHeads == 4 ? 4 : 8;
  for (int64_t d = 0; d < dims; d += 4 * kVectors) {
    float32x4_t sums[kHeads][kVectors];
    AIR_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      AIR_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        sums[h][v] = vmulq_n_f32(vld1q_f32(acc + h * dims + d + 4 * v), corrections[h]);
      }
    }
    for (int i = 0; i < block.token_count; ++i) {
      float32x4_t values[kVectors];
      Value::load(block.values[i] + d * Value::kBytes, values);
      const float* weight = weights + block.slots[i];
      AIR_UNROLL
      for (int h = 0; h < kHeads; ++h) {
        AIR_UNROLL
        for (int v = 0; v < kVectors; ++v) {
          sums[h][v] = vfmaq_n_f32(sums[h][v], values[v], weight[h * kBlock]);
        }
      }
    }
    AIR_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      AIR_UNROLL
      for (int v = 0; v < kVectors; ++v) vst1q_f32(acc + h * dims + d + 4 * v, sums[h][v]);
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
  float32x4_t lanes[kMaxHeads][kQuads];
  const bool int8_values = args->layout->value_type == AIR_KV_INT8;
  const size_t acc_bytes = sizeof(float) * static_cast<size_t>(args->heads * args->layout->head_dim);
  memset(args->acc, 0, acc_bytes);
  memset(lanes, 0, sizeof lanes);
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
  for (int h = 0; h < args->heads; ++h) args->running_sum[h] = reduce_lanes(lanes[h]);
}

}  // namespace air::neon
