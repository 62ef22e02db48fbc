// What a block of the attention kernel works on: its queries, and which blocks of 64 tokens they read.
#ifndef AIR_KERNELS_CUDA_ATTENTION_TILE_H_
#define AIR_KERNELS_CUDA_ATTENTION_TILE_H_

#include "kernels/cuda/attention_shared.h"
#include "kernels/cuda/device.h"

namespace air::cuda {

constexpr int32_t kStripesPerBlock = kBlockTokens / AIR_STRIPE;

// A tile's rows against some query heads of one KV head.
struct TileWork {
  KvMember member;
  AttentionTile tile;
  int32_t first_head;  // among the layer's kept ones
  int32_t head_count;  // closed ones included
  int32_t open_heads;
  int32_t queries;  // rows times open heads
  // Of the tile: entries of [0, sink_tokens) and [window_start, end) are read by some row, all of them by every row if
  // they are also in [full_begin, full_end) or below the sinks and full_end.
  int32_t sink_tokens, window_start, end;
  int32_t full_begin, full_end;
  int32_t page_table, gap_begin, gap;
};

AIR_DEVICE bool is_open(const AttentionParams& params, int32_t head) {
  return params.gates == nullptr || params.gates[head] != 0;
}

// part: KV head times head_parts, plus the part. False when no row has an open head with pages here.
AIR_DEVICE bool find_work(const AttentionParams& params, int32_t tile, int32_t part, int32_t capacity,
                          TileWork* work) {
  work->member = params.members[part / params.head_parts];
  work->tile = params.tiles[tile];
  const int32_t skipped = part % params.head_parts * capacity;
  const int32_t left = work->member.query_count - skipped;
  work->first_head = work->member.first_query + skipped;
  work->head_count = left < capacity ? left : capacity;
  work->open_heads = 0;
  for (int32_t i = 0; i < work->head_count; ++i)
    work->open_heads += is_open(params, work->first_head + i) ? 1 : 0;
  work->queries = work->tile.rows * work->open_heads;
  if (work->member.group < 0 || work->queries <= 0) return false;
  const CacheRange* ranges = params.ranges + static_cast<int64_t>(work->member.group) * params.range_stride;
  const CacheRange first = ranges[params.row_tokens[work->tile.first_row]];
  const CacheRange last = ranges[params.row_tokens[work->tile.first_row + work->tile.rows - 1]];
  work->sink_tokens = first.sink_tokens;
  work->window_start = first.window_start;
  work->end = last.end;
  work->full_begin = last.window_start;
  work->full_end = first.end;
  work->page_table = first.page_table;
  work->gap_begin = first.gap_begin;
  work->gap = first.gap;
  return true;
}

// Query i of the tile: row i / open_heads, open head i % open_heads.
AIR_DEVICE void fill_slots(const AttentionParams& params, const TileWork& work, int32_t capacity,
                           QuerySlot* slots) {
  const auto i = static_cast<int32_t>(thread_id());
  if (i >= capacity) return;
  QuerySlot slot = {0, 0, 0, 0};
  if (i < work.queries) {
    int32_t head = work.first_head;
    for (int32_t open_before = i % work.open_heads; open_before > 0 || !is_open(params, head); ++head)
      open_before -= is_open(params, head) ? 1 : 0;
    const int32_t row = work.tile.first_row + i / work.open_heads;
    const int32_t token = params.row_tokens[row];
    const CacheRange& range =
        params.ranges[static_cast<int64_t>(work.member.group) * params.range_stride + token];
    slot = {range.end, range.window_start, token * params.query_heads + head,
            row * params.query_heads + head};
  }
  slots[i] = slot;
}

// The queries as A fragments: 16 bytes of lane l are the dims 8 (l % 4) .. + 7 of the cell, of slot l / 4 or l / 4 + 8.
AIR_DEVICE void load_queries(const AttentionParams& params, const uint16_t* queries, const QuerySlot* slots,
                             int32_t m, uint8_t* fragments) {
  const int32_t cells = params.padded_dim / kCellDims;
  for (int32_t i = static_cast<int32_t>(thread_id()); i < m * cells * 64; i += kAttentionThreads) {
    const int32_t lane = i % 32;
    const int32_t cell = i / 64 % cells;
    const QuerySlot& slot = slots[i / 64 / cells * kMmaQueries + i / 32 % 2 * 8 + lane / 4];
    const uint16_t* from =
        queries + static_cast<int64_t>(slot.source) * params.padded_dim + cell * kCellDims + lane % 4 * 8;
    store_words4(fragments + i * 16, slot.end > 0 ? load_words4(from) : Words4{0, 0, 0, 0});
  }
}

// Whether some row reads of the 16 or 64 entries from `begin` on.
AIR_DEVICE bool is_read(const TileWork& work, int32_t begin, int32_t count) {
  return begin < work.end && (begin < work.sink_tokens || begin + count > work.window_start);
}

// Whether every row reads all of the 64 entries from `begin` on.
AIR_DEVICE bool is_full(const TileWork& work, int32_t begin) {
  return begin + kBlockTokens <= work.full_end &&
         (begin >= work.full_begin || begin + kBlockTokens <= work.sink_tokens);
}

// Splits are dealt to split_lanes blocks in turn; a block that computes whole tiles has them all.
struct BlockOrder {
  int32_t lane, lanes;
};

// The first block of 64 tokens from `block` on that some row reads and that is this thread block's.
AIR_DEVICE int32_t settle(const TileWork& work, const BlockOrder& order, int32_t block) {
  while (block * kBlockTokens < work.end) {
    const int32_t ahead = (order.lane + order.lanes - block / kSplitBlocks % order.lanes) % order.lanes;
    if (ahead > 0) {
      block = (block / kSplitBlocks + ahead) * kSplitBlocks;
    } else if (!is_read(work, block * kBlockTokens, kBlockTokens)) {
      block = work.window_start / kBlockTokens;
    } else {
      break;
    }
  }
  return block;
}

AIR_DEVICE int32_t next_block(const TileWork& work, const BlockOrder& order, int32_t block) {
  const int32_t next = block + 1;
  if (next % kSplitBlocks != 0 && is_read(work, next * kBlockTokens, kBlockTokens)) return next;
  return settle(work, order, next);
}

// Where a split's partial results lie. A text may be longer than what is cached of it: the splits of the window take
// turns, those of the sinks stay.
AIR_DEVICE int32_t slot_of_split(const AttentionParams& params, int32_t sink_tokens, int32_t split) {
  const int32_t sinks = (sink_tokens + kSplitTokens - 1) / kSplitTokens;
  return split < sinks ? split : sinks + (split - sinks) % (params.split_slots - sinks);
}

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_ATTENTION_TILE_H_
