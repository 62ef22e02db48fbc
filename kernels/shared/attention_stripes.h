// Which stripes of 16 cached tokens an attention block reads, and where they lie. Internal linkage
// throughout, for the reason given in matmul_tiles.h.
#ifndef AIR_KERNELS_SHARED_ATTENTION_STRIPES_H_
#define AIR_KERNELS_SHARED_ATTENTION_STRIPES_H_

#include "kernels/include/air_kernels.h"
#include "kernels/shared/fetch.h"

#define AIR_BLOCK_STRIPES (AIR_ATTENTION_BLOCK / AIR_STRIPE)

typedef struct {
  const uint8_t* keys;          // the stripe itself, as air_formats.h orders its type
  const uint8_t* values;        // [16, D]
  const uint8_t* key_scales;    // binary16, INT8: [16], INT4: [D / 32][16]; meaningless for F16 keys
  const uint8_t* value_scales;  // the same of the values
  uint32_t read;                // bit t: token t is read
  uint32_t sink;                // bit t: token t is read and scored with the sink queries
  // The stripe that will be in this place in the next block: kernels ask for its bytes while they read these.
  const uint8_t* next_keys;
  const uint8_t* next_values;
} AirStripeView;

typedef struct {
  AirStripeView stripes[AIR_BLOCK_STRIPES];
  int stripe_count;  // stripes with a read token; the others are left out
} AirBlockView;

// Bit t is set when low <= first + t < high.
static inline uint32_t lanes_between(int64_t first, int64_t low, int64_t high) {
  const int64_t from = low <= first ? 0 : (low - first < AIR_STRIPE ? low - first : AIR_STRIPE);
  const int64_t to = high <= first ? 0 : (high - first < AIR_STRIPE ? high - first : AIR_STRIPE);
  const uint32_t below_to = (1u << to) - 1u;
  const uint32_t below_from = (1u << from) - 1u;
  return from < to ? below_to & ~below_from : 0u;
}

// Bytes of one token's keys or values.
static inline int64_t token_bytes(int32_t type, int64_t dims) {
  if (type == AIR_KV_INT4) return dims / 2;
  return type == AIR_KV_INT8 ? dims : 2 * dims;
}

// Bytes of one token's share of the scales.
static inline int64_t scale_bytes(int32_t type, int64_t dims) {
  if (type == AIR_KV_INT4) return 2 * (dims / AIR_GROUP);
  return type == AIR_KV_INT8 ? 2 : 0;
}

static inline void view_stripe(const AirAttentionArgs* args, int64_t first, AirStripeView* view) {
  const AirKvLayout* layout = args->layout;
  const int64_t dims = layout->head_dim;
  const int64_t entry = first < args->gap_begin ? first : first - args->gap;
  const int64_t page = args->page_table[entry / layout->page_tokens];
  const int64_t offset = first % layout->page_tokens;
  const uint8_t* member = args->pages + page * args->page_stride;
  view->keys = member + offset * token_bytes(layout->key_type, dims);
  view->values = member + layout->values_offset + offset * token_bytes(layout->value_type, dims);
  view->key_scales = member + layout->key_scales_offset + offset * scale_bytes(layout->key_type, dims);
  view->value_scales = member + layout->value_scales_offset + offset * scale_bytes(layout->value_type, dims);
}

// Fills `view` with what row `row` reads of the block that starts at cache index `block`. A stripe without read
// tokens is never looked up: its page may not exist.
static inline void view_block(const AirAttentionArgs* args, int64_t block, int64_t row, AirBlockView* view) {
  view->stripe_count = 0;
  for (int64_t first = block; first < block + AIR_ATTENTION_BLOCK; first += AIR_STRIPE) {
    const uint32_t in_range = lanes_between(first, args->begin, args->ends[row]);
    const uint32_t read = in_range & ~lanes_between(first, args->sink_tokens, args->window_starts[row]);
    if (read == 0) continue;
    AirStripeView* stripe = &view->stripes[view->stripe_count++];
    view_stripe(args, first, stripe);
    stripe->read = read;
    stripe->sink = read & lanes_between(first, 0, args->sink_tokens);
  }
}

// Whether all rows read the same tokens of the block at cache index `block`: none ends in or before it, and no
// window starts in it while others do not.
static inline bool reads_alike(const AirAttentionArgs* args, int64_t block) {
  if (args->rows == 1) return true;
  const int64_t first_start = args->window_starts[0];
  const int64_t last_start = args->window_starts[args->rows - 1];
  const int64_t block_end = block + AIR_ATTENTION_BLOCK;
  return block_end <= args->ends[0] &&
         (first_start == last_start || block_end <= first_start || block >= last_start);
}

// The first block at or after `block` that is not wholly inside every row's gap, of which the first row's is the
// shortest.
static inline int64_t skip_gap(const AirAttentionArgs* args, int64_t block) {
  const int64_t window_start = args->window_starts[0];
  const bool in_gap = block >= args->sink_tokens && block + AIR_ATTENTION_BLOCK <= window_start;
  return in_gap ? window_start / AIR_ATTENTION_BLOCK * AIR_ATTENTION_BLOCK : block;
}

// Whether the stripe at cache index `first` is worth fetching ahead.
static inline bool is_fetched(const AirAttentionArgs* args, int64_t first) {
  const bool in_gap = first >= args->sink_tokens && first + AIR_STRIPE <= args->window_starts[0];
  return first < args->prefetch_end && !in_gap;
}

// Asks for the whole block at cache index `block`, which no block before it has asked for. Inlined for the reason
// given in fetch.h.
__attribute__((always_inline)) static inline void fetch_block(const AirAttentionArgs* args, int64_t block) {
  const int64_t kCacheLine = 64;
  const int64_t dims = args->layout->head_dim;
  const int64_t key_bytes = AIR_STRIPE * token_bytes(args->layout->key_type, dims);
  const int64_t value_bytes = AIR_STRIPE * token_bytes(args->layout->value_type, dims);
  for (int64_t first = block; first < block + AIR_ATTENTION_BLOCK; first += AIR_STRIPE) {
    if (!is_fetched(args, first)) continue;
    AirStripeView stripe;
    view_stripe(args, first, &stripe);
    for (int64_t at = 0; at < key_bytes; at += kCacheLine) fetch_line(stripe.keys + at);
    for (int64_t at = 0; at < value_bytes; at += kCacheLine) fetch_line(stripe.values + at);
  }
}

// Fills next_keys and next_values with what the block at cache index `next` has there, if anything. One head's
// share of a page is a small island in the arena, which the hardware does not find by itself; and asked for all
// at once, it would fill the queues of the CPU for longer than it takes to compute a block.
static inline void view_next(const AirAttentionArgs* args, int64_t next, AirBlockView* view) {
  const AirKvLayout* layout = args->layout;
  const int64_t key_scale_bytes = AIR_STRIPE * scale_bytes(layout->key_type, layout->head_dim);
  const int64_t value_scale_bytes = AIR_STRIPE * scale_bytes(layout->value_type, layout->head_dim);
  for (int s = 0; s < view->stripe_count; ++s) {
    AirStripeView* stripe = &view->stripes[s];
    stripe->next_keys = stripe->keys;
    stripe->next_values = stripe->values;
    if (!is_fetched(args, next + s * AIR_STRIPE)) continue;
    AirStripeView ahead;
    view_stripe(args, next + s * AIR_STRIPE, &ahead);
    stripe->next_keys = ahead.keys;
    stripe->next_values = ahead.values;
    for (int64_t at = 0; at < key_scale_bytes; at += 64) fetch_line(ahead.key_scales + at);
    for (int64_t at = 0; at < value_scale_bytes; at += 64) fetch_line(ahead.value_scales + at);
  }
}

#endif  // AIR_KERNELS_SHARED_ATTENTION_STRIPES_H_
