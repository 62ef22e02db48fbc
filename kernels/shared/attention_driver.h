// Attention block by block with a running maximum (online softmax, arXiv 1805.02867): everything but the
// arithmetic, which an ISA brings as a class of static functions. Lanes are tokens while scoring and dims while
// adding values; the queries of a call share every load of keys and values. Internal linkage throughout, for
// the reason given in matmul_tiles.h.
#ifndef AIR_KERNELS_SHARED_ATTENTION_DRIVER_H_
#define AIR_KERNELS_SHARED_ATTENTION_DRIVER_H_

#include <string.h>

#include "kernels/shared/attention_stripes.h"

// The queries of one call regrouped, so that what a loop over queries reads lies side by side.
typedef struct {
  alignas(64) int8_t quads[AIR_MAX_HEAD_DIM / 4][AIR_ATTENTION_MAX_QUERIES][4];  // integer keys
  float scales[AIR_MAX_HEAD_DIM / AIR_GROUP][AIR_ATTENTION_MAX_QUERIES];
  int32_t sums[AIR_MAX_HEAD_DIM / AIR_GROUP][AIR_ATTENTION_MAX_QUERIES];  // of the int8 values of a group
  float values[AIR_MAX_HEAD_DIM][AIR_ATTENTION_MAX_QUERIES];              // F16 keys
} AirQueryPanel;

// Scores, then weights p * value scale (p alone for INT4 values); columns are 16 * (position in AirBlockView::stripes) + lane.
typedef struct {
  alignas(64) float of[AIR_ATTENTION_MAX_QUERIES][AIR_ATTENTION_BLOCK];
} AirScores;

// What `count` queries from `first` on have to do with one block.
typedef struct {
  const AirKvLayout* layout;
  const AirBlockView* view;
  int first, count;
} AirBlockWork;

static inline void fill_panel(const AirAttentionArgs* args, bool sinks, AirQueryPanel* panel) {
  const int64_t dims = args->layout->head_dim;
  const int64_t groups = dims / AIR_GROUP;
  const float* values = sinks ? args->sink_q : args->q;
  const int8_t* q_int8 = sinks ? args->sink_q_int8 : args->q_int8;
  const float* scales = sinks ? args->sink_q_scales : args->q_scales;
  const int32_t* sums16 = sinks ? args->sink_q_sums16 : args->q_sums16;
  int slot = 0;
  for (int r = 0; r < args->rows; ++r) {
    for (int64_t query = args->first_query[r]; query < args->first_query[r] + args->heads; ++query, ++slot) {
      if (args->layout->key_type == AIR_KV_F16) {
        for (int64_t d = 0; d < dims; ++d) panel->values[d][slot] = values[query * dims + d];
        continue;
      }
      for (int64_t d = 0; d < dims; d += 4) memcpy(panel->quads[d / 4][slot], q_int8 + query * dims + d, 4);
      for (int64_t g = 0; g < groups; ++g) {
        const int32_t* sums = sums16 + (query * groups + g) * 2;
        panel->scales[g][slot] = scales[query * groups + g];
        panel->sums[g][slot] = sums[0] + sums[1];
      }
    }
  }
}

// One pass over keys: scores of 16 tokens for some queries from `first` on, into out [queries,
// AIR_ATTENTION_BLOCK], columns 0 .. 15.
typedef void (*AirScoreKernel)(const AirQueryPanel& panel, int first, int64_t dims,
                               const AirStripeView& stripe, float* out);
// One pass over values: acc [queries, D] = acc * correction + sum over the read tokens of weight * value.
// weights: [queries, AIR_ATTENTION_BLOCK], the scales of INT4 values not yet in them; corrections: [queries].
typedef void (*AirValueKernel)(const AirBlockView& view, int64_t dims, const float* weights,
                               const float* corrections, float* acc);

// Queries of the next pass, when `left` are left.
template <typename Isa>
static inline int next_queries(int left) {
  return left < Isa::kMostQueries ? left : Isa::kMostQueries;
}

template <typename Isa>
static inline void score_queries(const AirQueryPanel& panel, const AirBlockWork& work,
                                 const AirStripeView& stripe, float* out) {
  const int32_t type = work.layout->key_type;
  const AirScoreKernel* kernels = type == AIR_KV_INT8   ? Isa::kScoreInt8
                                  : type == AIR_KV_INT4 ? Isa::kScoreInt4
                                                        : Isa::kScoreF16;
  for (int q = 0, count = 0; q < work.count; q += count) {
    count = next_queries<Isa>(work.count - q);
    kernels[count - 1](panel, work.first + q, work.layout->head_dim, stripe, out + q * AIR_ATTENTION_BLOCK);
  }
}

template <typename Isa>
static inline void add_values(const AirBlockWork& work, const AirScores& weights, const float* corrections,
                              float* acc) {
  const int64_t dims = work.layout->head_dim;
  const int32_t type = work.layout->value_type;
  const AirValueKernel* kernels = type == AIR_KV_INT8   ? Isa::kAddInt8
                                  : type == AIR_KV_INT4 ? Isa::kAddInt4
                                                        : Isa::kAddF16;
  for (int q = 0, count = 0; q < work.count; q += count) {
    count = next_queries<Isa>(work.count - q);
    kernels[count - 1](*work.view, dims, weights.of[q], corrections + q, acc + q * dims);
  }
}

// Scores of one stripe's 16 tokens, in `out` [count, AIR_ATTENTION_BLOCK]. Unread lanes become -infinity.
template <typename Isa>
static void score_stripe(const AirQueryPanel* panel, const AirQueryPanel* sink_panel,
                         const AirBlockWork& work, const AirStripeView& stripe, float* out) {
  if (stripe.sink != stripe.read) score_queries<Isa>(*panel, work, stripe, out);
  if (stripe.sink != 0) {
    AirScores sinks;
    score_queries<Isa>(*sink_panel, work, stripe, sinks.of[0]);
    for (int q = 0; q < work.count; ++q) {
      for (int t = 0; t < AIR_STRIPE; ++t) {
        if ((stripe.sink >> t & 1u) != 0) out[q * AIR_ATTENTION_BLOCK + t] = sinks.of[q][t];
      }
    }
  }
  if (stripe.read == 0xffff) return;
  for (int q = 0; q < work.count; ++q) {
    for (int t = 0; t < AIR_STRIPE; ++t) {
      if ((stripe.read >> t & 1u) == 0) out[q * AIR_ATTENTION_BLOCK + t] = -__builtin_inff();
    }
  }
}

// Isa has, all static:
//   int kMostQueries                                     that one pass serves
//   AirScoreKernel kScoreInt8[], kScoreInt4[], kScoreF16[]   by queries - 1
//   AirValueKernel kAddInt8[], kAddInt4[], kAddF16[]         by queries - 1
//   void weigh(const AirBlockWork&, AirScores*, float* running_max, float (*lanes)[16], float* corrections)
//     Scores become weights (0 where unread); updates the maxima [count] and lane sums [count]; corrections
//     [count] are for what was summed before.
//   float reduce(const float* lanes)                     the tree sum of 16 lanes
template <typename Isa>
static void attend(const AirAttentionArgs* args) {
  fetch_block(args, skip_gap(args, args->begin));
  const int queries = args->rows * args->heads;
  const int64_t dims = args->layout->head_dim;
  alignas(64) float lanes[AIR_ATTENTION_MAX_QUERIES][AIR_STRIPE] = {};
  memset(args->acc, 0, sizeof(float) * static_cast<size_t>(queries * dims));
  for (int q = 0; q < queries; ++q) args->running_max[q] = -__builtin_inff();
  AirQueryPanel panel, sink_panel;
  fill_panel(args, false, &panel);
  if (args->begin < args->sink_tokens) fill_panel(args, true, &sink_panel);

  const auto attend_block = [&](AirBlockView& view, int first, int count, int64_t next) {
    view_next(args, next, &view);
    const AirBlockWork work = {args->layout, &view, first, count};
    AirScores scores;
    float corrections[AIR_ATTENTION_MAX_QUERIES];
    for (int s = 0; s < view.stripe_count; ++s) {
      score_stripe<Isa>(&panel, &sink_panel, work, view.stripes[s], &scores.of[0][s * AIR_STRIPE]);
    }
    Isa::weigh(work, &scores, args->running_max + first, lanes + first, corrections);
    add_values<Isa>(work, scores, corrections, args->acc + first * dims);
  };

  const int64_t last_end = args->ends[args->rows - 1];
  for (int64_t block = args->begin; block < last_end; block += AIR_ATTENTION_BLOCK) {
    block = skip_gap(args, block);
    const int64_t next = skip_gap(args, block + AIR_ATTENTION_BLOCK);
    AirBlockView view;
    if (reads_alike(args, block)) {
      view_block(args, block, 0, &view);
      if (view.stripe_count > 0) attend_block(view, 0, queries, next);
      continue;
    }
    for (int r = 0; r < args->rows; ++r) {  // the rows start or end at different tokens of this block
      view_block(args, block, r, &view);
      if (view.stripe_count > 0) attend_block(view, r * args->heads, args->heads, next);
    }
  }
  for (int q = 0; q < queries; ++q) args->running_sum[q] = Isa::reduce(lanes[q]);
}

#endif  // AIR_KERNELS_SHARED_ATTENTION_DRIVER_H_
