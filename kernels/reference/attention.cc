// Attention of some rows of one sequence against one KV head's pages, block by block with a running maximum
// (online softmax, arXiv 1805.02867).
#include "kernels/reference/ops.h"
#include "kernels/reference/scalar.h"

namespace air::reference {
namespace {

struct Queries {
  const float* q;        // [queries, D]
  const int8_t* q_int8;  // [queries, D]
  const float* scales;   // [queries, D / 32]
};

// One query of one row, and where its result goes.
struct Query {
  int64_t index;         // among Queries
  int64_t end;           // of its row
  int64_t window_start;  // of its row
  float* running_max;
  float* acc;  // [D]
};

// Where one cached token lies.
struct Token {
  const uint8_t* member;  // the member's bytes in the token's page
  int64_t offset;         // within the page
};

bool is_read(const AirAttentionArgs& args, const Query& query, int64_t index) {
  if (index < args.begin || index >= query.end) return false;
  return index < args.sink_tokens || index >= query.window_start;
}

Token find_token(const AirAttentionArgs& args, int64_t index) {
  const int64_t page_tokens = args.layout->page_tokens;
  const int64_t entry = index < args.gap_begin ? index : index - args.gap;
  const int64_t page = args.page_table[entry / page_tokens];
  return {args.pages + page * args.page_stride, index % page_tokens};
}

float score_int8(const AirKvLayout& layout, const Queries& queries, int64_t query, const Token& token) {
  const int64_t dims = layout.head_dim;
  const int64_t lane = token.offset % AIR_STRIPE;
  const uint8_t* stripe = token.member + (token.offset - lane) * dims;
  float score = 0.0f;
  for (int64_t g = 0; g < dims / AIR_GROUP; ++g) {
    int32_t dot = 0;
    for (int64_t d = g * AIR_GROUP; d < (g + 1) * AIR_GROUP; ++d) {
      dot += static_cast<int8_t>(stripe[(d / 4) * 64 + lane * 4 + d % 4]) * queries.q_int8[query * dims + d];
    }
    score = fmaf(static_cast<float>(dot), queries.scales[query * (dims / AIR_GROUP) + g], score);
  }
  return score * read_half(token.member + layout.key_scales_offset, token.offset);
}

float score_int4(const AirKvLayout& layout, const Queries& queries, int64_t query, const Token& token) {
  const int64_t dims = layout.head_dim;
  const int64_t groups = dims / AIR_GROUP;
  const int64_t lane = token.offset % AIR_STRIPE;
  const uint8_t* stripe = token.member + (token.offset - lane) * dims / 2;
  const uint8_t* scales = token.member + layout.key_scales_offset + (token.offset - lane) * groups * 2;
  float score = 0.0f;
  for (int64_t g = 0; g < groups; ++g) {
    const int8_t* q = queries.q_int8 + query * dims + g * AIR_GROUP;
    int32_t dot = 0;
    for (int64_t b = 0; b < AIR_GROUP / 2; ++b) {
      const int32_t byte = stripe[g * 256 + (b / 4) * 64 + lane * 4 + b % 4];
      dot += ((byte & 15) - 8) * q[b] + ((byte >> 4) - 8) * q[AIR_GROUP / 2 + b];
    }
    const float scale = queries.scales[query * groups + g] * read_half(scales, g * AIR_STRIPE + lane);
    score = fmaf(static_cast<float>(dot), scale, score);
  }
  return score;
}

float score_f16(const AirKvLayout& layout, const Queries& queries, int64_t query, const Token& token) {
  const int64_t dims = layout.head_dim;
  const int64_t lane = token.offset % AIR_STRIPE;
  const uint8_t* stripe = token.member + (token.offset - lane) * dims * 2;
  float score = 0.0f;
  for (int64_t d = 0; d < dims; ++d) {
    score = fmaf(queries.q[query * dims + d], read_half(stripe, d * AIR_STRIPE + lane), score);
  }
  return score;
}

float score_token(const AirAttentionArgs& args, int64_t query, int64_t index) {
  const Queries queries = index < args.sink_tokens
                              ? Queries{args.sink_q, args.sink_q_int8, args.sink_q_scales}
                              : Queries{args.q, args.q_int8, args.q_scales};
  const Token token = find_token(args, index);
  const AirKvLayout& layout = *args.layout;
  switch (layout.key_type) {
    case AIR_KV_INT8:
      return score_int8(layout, queries, query, token);
    case AIR_KV_INT4:
      return score_int4(layout, queries, query, token);
    default:
      return score_f16(layout, queries, query, token);
  }
}

// acc[D] += p * value of the token, the scale of each group joining p first.
void add_int4_value(const AirKvLayout& layout, const Token& token, float p, float* acc) {
  const int64_t groups = layout.head_dim / AIR_GROUP;
  const int64_t lane = token.offset % AIR_STRIPE;
  const uint8_t* values = token.member + layout.values_offset + token.offset * layout.head_dim / 2;
  const uint8_t* scales = token.member + layout.value_scales_offset + (token.offset - lane) * groups * 2;
  for (int64_t g = 0; g < groups; ++g) {
    const float weight = p * read_half(scales, g * AIR_STRIPE + lane);
    float* low = acc + g * AIR_GROUP;
    float* high = low + AIR_GROUP / 2;
    for (int64_t b = 0; b < AIR_GROUP / 2; ++b) {
      const int32_t byte = values[g * AIR_GROUP / 2 + b];
      low[b] = fmaf(weight, static_cast<float>((byte & 15) - 8), low[b]);
      high[b] = fmaf(weight, static_cast<float>((byte >> 4) - 8), high[b]);
    }
  }
}

// acc[D] += p * value of the token, the value's scale joining p first.
void add_value(const AirAttentionArgs& args, int64_t index, float p, float* acc) {
  const AirKvLayout& layout = *args.layout;
  const int64_t dims = layout.head_dim;
  const Token token = find_token(args, index);
  if (layout.value_type == AIR_KV_INT4) return add_int4_value(layout, token, p, acc);
  const uint8_t* values = token.member + layout.values_offset;
  const bool int8_values = layout.value_type == AIR_KV_INT8;
  const float weight =
      int8_values ? p * read_half(token.member + layout.value_scales_offset, token.offset) : p;
  for (int64_t d = 0; d < dims; ++d) {
    const int64_t at = token.offset * dims + d;
    const float value =
        int8_values ? static_cast<float>(static_cast<int8_t>(values[at])) : read_half(values, at);
    acc[d] = fmaf(weight, value, acc[d]);
  }
}

// Folds one block into a query's running maximum, lane sums and acc.
void attend_block(const AirAttentionArgs& args, const Query& query, int64_t block, float* lanes) {
  float scores[AIR_ATTENTION_BLOCK];
  const float old_max = *query.running_max;
  float new_max = old_max;
  bool any_read = false;
  for (int64_t i = 0; i < AIR_ATTENTION_BLOCK; ++i) {
    if (!is_read(args, query, block + i)) continue;
    any_read = true;
    scores[i] = score_token(args, query.index, block + i);
    if (scores[i] > new_max) new_max = scores[i];
  }
  if (!any_read) return;

  const int64_t dims = args.layout->head_dim;
  const float correction = old_max == -INFINITY ? 0.0f : canonical_exp(old_max - new_max);
  *query.running_max = new_max;
  for (int l = 0; l < AIR_STRIPE; ++l) lanes[l] *= correction;
  for (int64_t d = 0; d < dims; ++d) query.acc[d] *= correction;
  for (int64_t i = 0; i < AIR_ATTENTION_BLOCK; ++i) {
    if (!is_read(args, query, block + i)) continue;
    const float p = canonical_exp(scores[i] - new_max);
    lanes[i % AIR_STRIPE] += p;
    add_value(args, block + i, p, query.acc);
  }
}

}  // namespace

void attention(const AirAttentionArgs* args) {
  const int64_t dims = args->layout->head_dim;
  for (int64_t i = 0; i < args->rows * args->heads; ++i) {
    const int64_t row = i / args->heads;
    const Query query = {args->first_query[row] + i % args->heads, args->ends[row], args->window_starts[row],
                         args->running_max + i, args->acc + i * dims};
    float lanes[AIR_STRIPE] = {};
    *query.running_max = -INFINITY;
    memset(query.acc, 0, static_cast<size_t>(dims) * sizeof(float));
    for (int64_t block = args->begin; block < query.end; block += AIR_ATTENTION_BLOCK) {
      attend_block(*args, query, block, lanes);
    }
    args->running_sum[i] = reduce_lanes(lanes);
  }
}

}  // namespace air::reference
