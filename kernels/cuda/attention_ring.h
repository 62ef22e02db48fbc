// Pages on their way into shared memory: each warp copies what it will read, a few blocks of 64 tokens ahead.
#ifndef AIR_KERNELS_CUDA_ATTENTION_RING_H_
#define AIR_KERNELS_CUDA_ATTENTION_RING_H_

#include "kernels/cuda/attention_tile.h"

namespace air::cuda {

// Which values a warp multiplies: the cells first_cell + 4 i of the stripes [first_stripe, first_stripe + stripes).
// With one or two cells per token the warps share them, and their sums are added at the end of a split.
struct ValueShare {
  int32_t first_cell;
  int32_t first_stripe;
  int32_t stripes;  // 0: the warp has none
  int32_t part;     // of those that share a cell
};

AIR_DEVICE int32_t value_parts(int32_t cells) { return cells == 1 ? 4 : cells == 2 ? 2 : 1; }

AIR_DEVICE ValueShare share_values(int32_t cells) {
  const auto warp = static_cast<int32_t>(warp_id());
  const int32_t parts = value_parts(cells);
  const int32_t stripes = kStripesPerBlock / parts;
  const int32_t part = cells >= 4 ? 0 : warp / cells;
  const int32_t first_cell = cells >= 4 ? warp : warp % cells;
  return {first_cell, part * stripes, part < parts ? stripes : 0, part};
}

// Where stripe lane % 4 of a block lies; found one block before it is copied, so that nobody waits for the page table.
struct StripePlace {
  int32_t page;
  int32_t stripe;  // within the page
  int32_t read;    // 0: nobody reads of it, and it is zero in shared memory
};

AIR_DEVICE StripePlace find_stripe(const AttentionParams& params, const TileWork& work, int32_t block) {
  const int32_t begin =
      block * kBlockTokens + static_cast<int32_t>(lane_id()) % kStripesPerBlock * AIR_STRIPE;
  if (!is_read(work, begin, AIR_STRIPE)) return {0, 0, 0};
  const int32_t entry = begin < work.gap_begin ? begin : begin - work.gap;
#ifdef AIR_PLANT_PAGE  // test/kernels: the page after the right one, where there is one
  const int32_t at = entry / params.page_tokens + 1;
#else
  const int32_t at = entry / params.page_tokens;
#endif
  return {params.page_tables[work.page_table + at], entry % params.page_tokens / AIR_STRIPE, 1};
}

// By all lanes of a warp; bytes is a multiple of 16. Not read: zeros, and `from` any address of pages.
AIR_DEVICE void copy_bytes(uint8_t* to, const uint8_t* from, int32_t bytes, int32_t read) {
  for (int32_t at = static_cast<int32_t>(lane_id()) * 16; at < bytes; at += 512)
    cp_async16_zero_fill(to + at, from + at, read != 0 ? 16 : 0);
}

// Starts the copies of this warp's share of a block: the keys and scales of stripe warp_id(), and the values of
// `share`. Others may read the scales after a barrier.
AIR_DEVICE void fetch_block(const AttentionParams& params, const TileWork& work, const ValueShare& share,
                            const StagePlan& plan, StripePlace place, uint8_t* stage) {
  const uint32_t warp = warp_id();
  const auto lane = static_cast<int32_t>(lane_id());
  const int32_t cells = params.padded_dim / kCellDims;
  {
    const int32_t read = shuffle(place.read, warp);
    const int32_t stripe = shuffle(place.stripe, warp);
    const uint8_t* member = work.member.pages + shuffle(place.page, warp) * work.member.page_stride;
    copy_bytes(stage + static_cast<int32_t>(warp) * plan.key_stripe, member + stripe * plan.key_stripe,
               plan.key_stripe, read);
    const bool of_values = lane >= 16;
    const int32_t bytes = of_values ? plan.value_scale_bytes : plan.key_scale_bytes;
    const int32_t section = of_values ? params.value_scales_offset : params.key_scales_offset;
    const int32_t target = of_values ? plan.value_scales : plan.key_scales;
    const int32_t at = lane % 16 * 16;
    if (at < bytes)
      cp_async16_zero_fill(stage + target + static_cast<int32_t>(warp) * bytes + at,
                           member + section + stripe * bytes + at, read != 0 ? 16 : 0);
  }
  const int32_t cell_bytes = kv_cell_bytes(params.value_type);
  for (int32_t i = 0; i < share.stripes; ++i) {
    const int32_t s = share.first_stripe + i;
    const auto source = static_cast<uint32_t>(s);
    const int32_t read = shuffle(place.read, source);
    const int32_t stripe = shuffle(place.stripe, source);
    const uint8_t* values = work.member.pages + shuffle(place.page, source) * work.member.page_stride +
                            params.values_offset + stripe * plan.value_stripe;
    uint8_t* to = stage + plan.values + s * plan.value_stripe;
    for (int32_t cell = share.first_cell; cell < cells; cell += kAttentionWarps)
      copy_bytes(to + cell * cell_bytes, values + cell * cell_bytes, cell_bytes, read);
  }
}

// Until the oldest group of copies has landed, for this warp. With one or two stages there is but one.
AIR_DEVICE void wait_for_stage(int32_t stages) {
  if (stages <= 2) {
    cp_async_wait<0>();
  } else if (stages == 3) {
    cp_async_wait<1>();
  } else {
    cp_async_wait<2>();
  }
  sync_warp();
}

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_ATTENTION_RING_H_
