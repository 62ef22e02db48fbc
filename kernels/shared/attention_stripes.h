// Which stripes of 16 cached tokens an attention block reads, and where they lie. Internal linkage
// throughout, for the reason given in matmul_tiles.h.
#ifndef AIR_KERNELS_SHARED_ATTENTION_STRIPES_H_
#define AIR_KERNELS_SHARED_ATTENTION_STRIPES_H_

#include "kernels/include/air_kernels.h"

#define AIR_BLOCK_STRIPES (AIR_ATTENTION_BLOCK / AIR_STRIPE)

typedef struct {
  const uint8_t* keys;          // the stripe itself, [D / 4][16][4] int8 or [D][16] binary16
  const uint8_t* values;        // [16, D]
  const uint8_t* key_scales;    // [16] binary16; meaningless for F16 keys
  const uint8_t* value_scales;  // [16] binary16; meaningless for F16 values
  uint32_t read;                // bit t: token t is read
  uint32_t sink;                // bit t: token t is read and scored with the sink queries
} AirStripeView;

// The read tokens of a block in order.
typedef struct {
  AirStripeView stripes[AIR_BLOCK_STRIPES];
  int stripe_count;                            // stripes with a read token; the others are left out
  const uint8_t* values[AIR_ATTENTION_BLOCK];  // [token_count] value rows
  int slots[AIR_ATTENTION_BLOCK];              // [token_count] 16 * (position in stripes) + lane
  int token_count;
} AirBlockView;

// Bit t is set when low <= first + t < high.
static inline uint32_t lanes_between(int64_t first, int64_t low, int64_t high) {
  const int64_t from = low <= first ? 0 : (low - first < AIR_STRIPE ? low - first : AIR_STRIPE);
  const int64_t to = high <= first ? 0 : (high - first < AIR_STRIPE ? high - first : AIR_STRIPE);
  const uint32_t below_to = (1u << to) - 1u;
  const uint32_t below_from = (1u << from) - 1u;
  return from < to ? below_to & ~below_from : 0u;
}

static inline void view_stripe(const AirAttentionArgs* args, int64_t first, AirStripeView* view) {
  const AirKvLayout* layout = args->layout;
  const int64_t key_bytes = layout->key_type == AIR_KV_INT8 ? 1 : 2;
  const int64_t value_bytes = layout->value_type == AIR_KV_INT8 ? 1 : 2;
  const int64_t page = args->page_table[first / layout->page_tokens];
  const int64_t offset = first % layout->page_tokens;
  const uint8_t* member = args->pages + page * args->page_stride;
  view->keys = member + offset * layout->head_dim * key_bytes;
  view->values = member + layout->values_offset + offset * layout->head_dim * value_bytes;
  view->key_scales = member + layout->key_scales_offset + 2 * offset;
  view->value_scales = member + layout->value_scales_offset + 2 * offset;
}

// Fills `view` with what the block that starts at cache index `block` reads. A stripe without read tokens
// is never looked up: its page may not exist.
static inline void view_block(const AirAttentionArgs* args, int64_t block, AirBlockView* view) {
  const int64_t value_bytes = args->layout->value_type == AIR_KV_INT8 ? 1 : 2;
  const int64_t row_bytes = args->layout->head_dim * value_bytes;
  view->stripe_count = 0;
  view->token_count = 0;
  for (int64_t first = block; first < block + AIR_ATTENTION_BLOCK; first += AIR_STRIPE) {
    const uint32_t in_range = lanes_between(first, args->begin, args->end);
    const uint32_t read = in_range & ~lanes_between(first, args->sink_tokens, args->window_start);
    if (read == 0) continue;
    AirStripeView* stripe = &view->stripes[view->stripe_count];
    view_stripe(args, first, stripe);
    stripe->read = read;
    stripe->sink = read & lanes_between(first, 0, args->sink_tokens);
    for (int t = 0; t < AIR_STRIPE; ++t) {
      if ((read >> t & 1u) == 0) continue;
      view->values[view->token_count] = stripe->values + t * row_bytes;
      view->slots[view->token_count] = AIR_STRIPE * view->stripe_count + t;
      ++view->token_count;
    }
    ++view->stripe_count;
  }
}

// The first block at or after `block` that is not wholly inside the gap.
static inline int64_t skip_gap(const AirAttentionArgs* args, int64_t block) {
  const bool in_gap = block >= args->sink_tokens && block + AIR_ATTENTION_BLOCK <= args->window_start;
  return in_gap ? args->window_start / AIR_ATTENTION_BLOCK * AIR_ATTENTION_BLOCK : block;
}

#endif  // AIR_KERNELS_SHARED_ATTENTION_STRIPES_H_
