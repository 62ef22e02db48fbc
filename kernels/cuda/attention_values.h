// Weighted sums of values: each warp has some dims of all 64 tokens, or of some of them where a token has few dims.
#ifndef AIR_KERNELS_CUDA_ATTENTION_VALUES_H_
#define AIR_KERNELS_CUDA_ATTENTION_VALUES_H_

#include "kernels/cuda/attention_scores.h"

namespace air::cuda {

// Masks for the lane's four tokens of a stripe, from `token` on: those past the tile's last are no numbers to rely on.
AIR_DEVICE Words2 keep_before(int32_t token, int32_t end) {
  const int32_t left = end - token;
  const uint32_t low = left >= 2 ? 0xffffffffu : left == 1 ? 0x0000ffffu : 0u;
  const uint32_t high = left >= 4 ? 0xffffffffu : left == 3 ? 0x0000ffffu : 0u;
  return {low, high};
}

// acc = acc * correction + weights times values of one cell.
template <int M, int type>
AIR_DEVICE void add_cell(const TileBlock& block, int32_t begin, int32_t cell, const uint8_t* stage,
                         const float (&correction)[M][2], float (&acc)[M][4][4]) {
  const StagePlan& plan = block.plan.stage;
  const uint32_t lane = lane_id();
  AIR_UNROLL
  for (int i = 0; i < 16 * M; ++i) acc[i / 16][i / 4 % 4][i % 4] *= correction[i / 16][i / 2 % 2];
  for (int32_t i = 0; i < block.share.stripes; ++i) {
    const int32_t stripe = block.share.first_stripe + i;
    const Words2 keep =
        keep_before(begin + stripe * AIR_STRIPE + static_cast<int32_t>(lane % 4) * 4, block.work.end);
    Words2 scales = {0, 0};
    if (type != AIR_KV_F16) {
      const int32_t group = type == AIR_KV_INT4 ? cell * 2 * AIR_STRIPE : 0;
      scales =
          load_words2(stage + plan.value_scales + stripe * plan.value_scale_bytes + group + lane % 4 * 8);
      scales = {scales.x & keep.x, scales.y & keep.y};
    }
    uint32_t b[4][2];
    load_values<type>(stage + plan.values + stripe * plan.value_stripe + cell * kv_cell_bytes(type), scales,
                      keep, b);
    AIR_UNROLL
    for (int m = 0; m < M; ++m) {
      if (M > 1 && m >= block.m_tiles) continue;
      const Words4 v = load_words4(block.shared + block.plan.weights +
                                   ((m * kStripesPerBlock + stripe) * 32) * 16 + lane * 16);
      const uint32_t a[4] = {v.x, v.y, v.z, v.w};
      AIR_UNROLL
      for (int j = 0; j < 4; ++j) mma_m16n8k16(acc[m][j], a, b[j]);
    }
  }
}

// acc is that of one split. begin: of the block of 64.
template <int M, int C>
AIR_DEVICE void add_values(const TileBlock& block, int32_t begin, const uint8_t* stage,
                           const float (&correction)[M][2], SplitSums<M, C>* sums) {
  AIR_UNROLL
  for (int c = 0; c < C; ++c) {
    const int32_t cell = block.share.first_cell + c * kAttentionWarps;
    if (cell >= block.cells) continue;
    if (block.params->value_type == AIR_KV_INT8) {
      add_cell<M, AIR_KV_INT8>(block, begin, cell, stage, correction, sums->acc[c]);
    } else if (block.params->value_type == AIR_KV_INT4) {
      add_cell<M, AIR_KV_INT4>(block, begin, cell, stage, correction, sums->acc[c]);
    } else {
      add_cell<M, AIR_KV_F16>(block, begin, cell, stage, correction, sums->acc[c]);
    }
  }
}

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_ATTENTION_VALUES_H_
