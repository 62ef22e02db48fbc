// Paged attention of one layer: out = softmax(q k^T) v for each query over the entries that its row reads, with keys
// and values in pages of int8, int4 or binary16. One arithmetic for decoding, verification and prefill.
//
//   queries   binary16 [tokens, query_heads, D], times 1/sqrt(head_dim); a second set for sinks
//   pages     kv_layout.h; a stripe of 16 tokens lies within a page
//   attended  binary16 [rows, query_heads * head_dim]
//   launch    (split_lanes or 1, kv_heads * head_parts, tiles) blocks of 128 threads, plan_shared().bytes
//
// A block has a tile's rows times the open query heads of a KV head: up to 16 M queries, the A operand's rows. Per 64
// tokens, warp w scores tokens 16 w .. 16 w + 15 (keys as B, binary16 products, float32 sums over dims in order); the
// maxima go through shared memory; weights exp(s - m) go there as binary16, and each warp adds 32 C dims of
// weights times values, 16 tokens to an instruction, in order. Integer keys are exact in binary16 and scores are
// scaled in float32; integer values are scaled in binary16, one rounding, so a scale beyond 515 (4094 for int4) makes
// infinities. Every 256 tokens the sums are folded (attention_fold.h): by this block, or by merge_attention when
// splits go to blocks of their own.
//
// What a row computes depends on its own query, range and entries only: entries that it does not read weigh exactly 0,
// whatever other rows of its tile read. (But for one thing: an infinite or NaN value that other rows of the tile read
// makes the row NaN.) Online softmax: arXiv 1805.02867; splits: arXiv 2311.01282.
#include "kernels/cuda/attention_fold.h"

namespace air::cuda {
namespace {

// Zeros for the closed and dropped heads of the tile, and for rows that read nothing.
AIR_DEVICE void clear_closed(const AttentionParams& params, const TileWork& work) {
  const auto warp = static_cast<int32_t>(warp_id());
  for (int32_t i = warp; i < work.tile.rows * work.head_count; i += kAttentionWarps) {
    const int32_t row = work.tile.first_row + i / work.head_count;
    const int32_t head = work.first_head + i % work.head_count;
    bool is_empty = work.member.group < 0 || !is_open(params, head);
    if (!is_empty) {
      const int64_t group = static_cast<int64_t>(work.member.group) * params.range_stride;
      is_empty = params.ranges[group + params.row_tokens[row]].end <= 0;
    }
    if (!is_empty) continue;
    uint16_t* to =
        params.attended + (static_cast<int64_t>(row) * params.query_heads + head) * params.head_dim;
    for (auto d = static_cast<int32_t>(lane_id()); d < params.head_dim; d += 32) to[d] = 0;
  }
}

template <int M, int C>
AIR_DEVICE void clear_sums(SplitSums<M, C>* sums) {
  AIR_UNROLL
  for (int i = 0; i < 16 * M * C; ++i) sums->acc[i / 16 / M][i / 16 % M][i / 4 % 4][i % 4] = 0.0f;
  AIR_UNROLL
  for (int i = 0; i < 2 * M; ++i) {
    sums->largest[i / 2][i % 2] = kNothingRead;
    sums->sum[i / 2][i % 2] = 0.0f;
  }
}

template <int M>
AIR_DEVICE void load_tile(const TileBlock& block) {
  auto* slots = reinterpret_cast<QuerySlot*>(block.shared + block.plan.slots);
  fill_slots(*block.params, block.work, M * kMmaQueries, slots);
  sync_threads();
  load_queries(*block.params, block.params->queries, slots, M, block.shared + block.plan.queries);
  if (block.work.sink_tokens > 0)
    load_queries(*block.params, block.params->sink_queries, slots, M, block.shared + block.plan.sink_queries);
  sync_threads();
}

template <int M, int C>
AIR_DEVICE void attend_tile(const TileBlock& block, const BlockOrder& order) {
  const AttentionParams& params = *block.params;
  const TileWork& work = block.work;
  const int32_t stages = params.stages;
  uint8_t* ring = block.shared + block.plan.ring;
  const bool is_whole = params.split_lanes == 0;
  int32_t current = settle(work, order, 0);
  int32_t ahead = current;  // the next block to fetch, and where its stripes lie
  StripePlace place = find_stripe(params, work, ahead);
  int32_t free_stage = 0;
  const auto fetch = [&]() {
    fetch_block(params, work, block.share, block.plan.stage, place,
                ring + free_stage * block.plan.stage.bytes);
    cp_async_commit();
    free_stage = free_stage + 1 == stages ? 0 : free_stage + 1;
    ahead = next_block(work, order, ahead);
    place = find_stripe(params, work, ahead);
  };
  for (int32_t i = 1; i < stages; ++i) fetch();
  load_tile<M>(block);
  TileTotals<M> totals = {};
  if (is_whole) clear_totals<M, C>(block, &totals);
  SplitSums<M, C> sums;
  clear_sums(&sums);
  int32_t stage_index = 0;
  while (current * kBlockTokens < work.end) {
    const int32_t begin = current * kBlockTokens;
    const uint8_t* stage = ring + stage_index * block.plan.stage.bytes;
    stage_index = stage_index + 1 == stages ? 0 : stage_index + 1;
    if (stages == 1) {  // memory for no more: the copies are waited for
      sync_threads();
      fetch();
    }
    wait_for_stage(stages);
    float s[M][2][4];
    score_any<M>(block, begin, stage, s);
    mask_scores<M>(block, begin, s);
    share_maxima<M>(block, s);
    sync_threads();
    if (stages > 1) fetch();  // into the stage that all warps have left
    float correction[M][2];
    weigh<M, C>(block, s, correction, &sums);
#ifndef AIR_PLANT_BARRIER  // test/kernels: weights are read before they are there
    sync_threads();
#endif
    add_values<M, C>(block, begin, stage, correction, &sums);
    const int32_t next = next_block(work, order, current);
    if (next / kSplitBlocks != current / kSplitBlocks || next * kBlockTokens >= work.end) {
      join_warps<M, C>(block, &sums);
      if (is_whole) {
        fold_into_totals<M, C>(sums, &totals);
      } else {
        store_partial<M, C>(block, current / kSplitBlocks, sums);
      }
      clear_sums(&sums);
    }
    current = next;
  }
  cp_async_wait<0>();
  if (is_whole) store_totals<M, C>(block, totals);
}

template <int M, int C>
AIR_DEVICE void attend(const AttentionParams& params) {
  const auto tile = static_cast<int32_t>(block_z());
  if (tile >= *params.tile_count) return;
  TileBlock block;
  block.params = &params;
  const bool has_work =
      find_work(params, tile, static_cast<int32_t>(block_y()), M * kMmaQueries, &block.work);
  if (params.split_lanes == 0) clear_closed(params, block.work);
  if (!has_work) return;
  const BlockOrder order = {static_cast<int32_t>(block_x()), static_cast<int32_t>(grid_x())};
  if (settle(block.work, order, 0) * kBlockTokens >= block.work.end) return;
  block.plan = plan_shared(params, M, C);
  block.shared = shared_memory();
  block.cells = params.padded_dim / kCellDims;
  block.m_tiles = (block.work.queries + kMmaQueries - 1) / kMmaQueries;
  block.share = share_values(block.cells);
  attend_tile<M, C>(block, order);
}

}  // namespace
}  // namespace air::cuda

#ifndef AIR_ATTENTION_KERNELS  // test/kernels/planted has its own
// attention_M_C: 16 M queries, heads of up to 128 C dims.
AIR_KERNEL(128) attention_1_1(air::cuda::AttentionParams params) { air::cuda::attend<1, 1>(params); }
AIR_KERNEL(128) attention_2_1(air::cuda::AttentionParams params) { air::cuda::attend<2, 1>(params); }
AIR_KERNEL(128) attention_4_1(air::cuda::AttentionParams params) { air::cuda::attend<4, 1>(params); }
AIR_KERNEL(128) attention_1_2(air::cuda::AttentionParams params) { air::cuda::attend<1, 2>(params); }
AIR_KERNEL(128) attention_2_2(air::cuda::AttentionParams params) { air::cuda::attend<2, 2>(params); }
#endif
