// What the attention kernels are given: shared by kernels and host, plain C++.
//
// A step's rows are the tokens whose attention is asked, in order; neighbouring rows of one sequence make a tile, which
// one pass over the cache serves. Everything that changes from step to step is read from device buffers, so that a
// graph of launches stays as it is: the members of AttentionParams are its constants.
#ifndef AIR_KERNELS_CUDA_ATTENTION_PARAMS_H_
#define AIR_KERNELS_CUDA_ATTENTION_PARAMS_H_

#include <stdint.h>

namespace air::cuda {

constexpr int32_t kAttentionWarps = 4;
constexpr int32_t kAttentionThreads = 32 * kAttentionWarps;
constexpr int32_t kBlockTokens = 64;   // share one update of the running maximum; 16 for each warp
constexpr int32_t kSplitTokens = 256;  // make a partial result; part of the canonical order of sums
constexpr int32_t kSplitBlocks = kSplitTokens / kBlockTokens;
constexpr int32_t kMmaQueries = 16;  // rows of one matrix instruction: rows of the step times query heads

// What one token reads from one head group: ReadRange of native/core/batch.h.
struct CacheRange {
  int32_t page_table;    // where the sequence's pages begin in AttentionParams::page_tables
  int32_t sink_tokens;   // of the text's entries, [0, sink_tokens) and [window_start, end) are read
  int32_t window_start;  // not below sink_tokens when something is left out
  int32_t end;
  int32_t
      gap_begin;  // the entries [gap_begin, gap_begin + gap) were dropped and have no page; multiples of page_tokens
  int32_t gap;
  int32_t sink_shift;  // how far before the token's position its sink queries are rotated to
  int32_t reserved;
};

// Rows [first_row, first_row + rows) of the step, neighbours in one sequence: their ranges share page table, sinks and
// gap, and ascend in window_start and end.
struct AttentionTile {
  int32_t first_row;
  int32_t rows;
};

// One kept KV head of a layer. pages: its group's page 0 at its offset.
struct KvMember {
  uint8_t* pages;
  int64_t page_stride;  // bytes from one page of the group to the next
  int32_t group;        // -1: dropped, has no pages
  int32_t first_query;  // of its query heads, among the layer's kept ones
  int32_t query_count;
  int32_t reserved;
};

// Sums over one split for one query: what merge_attention folds.
struct PartialStats {
  float largest;  // score read, -INFINITY when none
  float sum;      // of exp(score - largest)
};

// D is head_dim rounded up to a multiple of 32. Device pointers are 16-byte aligned.
struct AttentionParams {
  // Binary16, times 1/sqrt(head_dim), rotated, zero-padded: [tokens, query_heads, D].
  const uint16_t* queries;
  const uint16_t* sink_queries;  // the same for the sinks' distance; null when no range has sinks
  uint16_t* attended;  // [rows, query_heads * head_dim] binary16, saturated; 0 for closed and dropped heads

  // The step.
  const AttentionTile* tiles;
  const int32_t* tile_count;   // one element
  const int32_t* row_count;    // one element
  const int32_t* row_tokens;   // [rows] the token of each row
  const CacheRange* ranges;    // [groups, range_stride], by token
  const int32_t* page_tables;  // of all groups and sequences
  const uint8_t* gates;        // [query_heads] of the layer's kept ones, 0: closed; null: all are open

  // The layer.
  const KvMember* members;  // [kv_heads]
  int32_t kv_heads;
  int32_t query_heads;
  int32_t range_stride;

  // The layout of a member in a page (AirKvLayout, kv_layout.h).
  int32_t head_dim;  // as the model has it
  int32_t padded_dim;
  int32_t key_type, value_type;  // AirKvType
  int32_t page_tokens;
  int32_t values_offset;
  int32_t key_scales_offset;
  int32_t value_scales_offset;

  // The shape of the launch (launch/attention.h).
  int32_t head_parts;   // pieces of a KV head's query heads, of 16 * m each
  int32_t stages;       // 1 .. 4 blocks of 64 tokens in shared memory
  int32_t split_lanes;  // grid_x of a launch whose splits are merged; 0: blocks compute whole tiles
  int32_t split_slots;  // partial results of a row, by slot_of_split
  int32_t partial_rows;
  float* partials;      // [split_slots, partial_rows, query_heads, D], unnormalised
  PartialStats* stats;  // [split_slots, partial_rows, query_heads]
};

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_ATTENTION_PARAMS_H_
