// Scores of 64 tokens against the queries of a block, and their weights: each warp has 16 of the tokens.
//
// Lane l holds, of warp w's tokens, 4 (l % 4) + 2 i + x as s[m][i][2 h + x], for query 16 m + 8 h + l / 4.
#ifndef AIR_KERNELS_CUDA_ATTENTION_SCORES_H_
#define AIR_KERNELS_CUDA_ATTENTION_SCORES_H_

#include "kernels/cuda/attention_fragments.h"
#include "kernels/cuda/attention_ring.h"

namespace air::cuda {

constexpr float kNothingRead = -__builtin_huge_valf();

// What every step of a block's loop needs.
struct TileBlock {
  const AttentionParams* params;
  TileWork work;
  SharedPlan plan;
  ValueShare share;
  uint8_t* shared;
  int32_t cells;    // D / 32
  int32_t m_tiles;  // of 16 queries, with a query
};

// Sums of one split, in registers: acc[c][m][j][2 h + x] is dim 8 (l % 4) + 4 x + j of the cell first_cell + 4 c.
// `sum` is the lane's share, of its own tokens.
template <int M, int C>
struct SplitSums {
  float acc[C][M][4][4];
  float largest[M][2];
  float sum[M][2];
};

// Whether the eight queries 16 m + 8 h .. + 7 have one among them.
AIR_DEVICE bool has_queries(const TileBlock& block, int m, int h) {
  return block.work.queries > m * kMmaQueries + h * 8;
}

// The scales of the lane's four tokens of a stripe, as float32 [i][x].
AIR_DEVICE void load_key_scales(const uint8_t* scales, float (&out)[2][2]) {
  const Words2 words = load_words2(scales + lane_id() % 4 * 8);
  unpack_halves(words.x, out[0]);
  unpack_halves(words.y, out[1]);
}

// s += queries times keys. Integers with one scale per token are scaled by the caller, those with groups of 32 here.
template <int M, int type>
AIR_DEVICE void add_scores(const TileBlock& block, const uint8_t* keys, const uint8_t* scales,
                           const uint8_t* queries, bool masked, const uint32_t (&keep)[2],
                           float (&s)[M][2][4]) {
  const uint32_t lane = lane_id();
  for (int32_t cell = 0; cell < block.cells; ++cell) {
    uint32_t b[2][2][2];
    load_keys<type>(keys + cell * kv_cell_bytes(type), b);
    if (masked) {
      AIR_UNROLL
      for (int i = 0; i < 8; ++i) b[i / 4][i / 2 % 2][i % 2] &= keep[i / 4];
    }
    float group_scales[2][2];
    if (type == AIR_KV_INT4) load_key_scales(scales + cell * 2 * AIR_STRIPE, group_scales);
    AIR_UNROLL
    for (int m = 0; m < M; ++m) {
      if (M > 1 && m >= block.m_tiles) continue;
      const uint8_t* fragment = queries + (m * block.cells + cell) * 1024 + lane * 16;
      const Words4 low = load_words4(fragment);
      const Words4 high = load_words4(fragment + 512);
      const uint32_t a[2][4] = {{low.x, high.x, low.y, high.y}, {low.z, high.z, low.w, high.w}};
      AIR_UNROLL
      for (int i = 0; i < 2; ++i) {
        if (type == AIR_KV_INT4) {
          float dots[4] = {0.0f, 0.0f, 0.0f, 0.0f};
          mma_m16n8k16(dots, a[0], b[i][0]);
          mma_m16n8k16(dots, a[1], b[i][1]);
          AIR_UNROLL
          for (int e = 0; e < 4; ++e) s[m][i][e] = fmaf(dots[e], group_scales[i][e % 2], s[m][i][e]);
        } else {
          mma_m16n8k16(s[m][i], a[0], b[i][0]);
          mma_m16n8k16(s[m][i], a[1], b[i][1]);
        }
      }
    }
  }
}

// A block with sinks has two passes, each with the keys of the other as zeros: what adds nothing to a sum.
template <int M, int type>
AIR_DEVICE void score_block(const TileBlock& block, int32_t begin, const uint8_t* stage,
                            float (&s)[M][2][4]) {
  const uint32_t lane = lane_id();
  const uint32_t warp = warp_id();
  const StagePlan& plan = block.plan.stage;
  const uint8_t* keys = stage + warp * static_cast<uint32_t>(plan.key_stripe);
  const uint8_t* scales = stage + plan.key_scales + warp * static_cast<uint32_t>(plan.key_scale_bytes);
  AIR_UNROLL
  for (int i = 0; i < 8 * M; ++i) s[i / 8][i / 4 % 2][i % 4] = 0.0f;
  // B's column l / 4 of tile i is this token, and the next but one.
  const auto column = static_cast<int32_t>(lane / 4);
  const int32_t token = begin + static_cast<int32_t>(warp) * AIR_STRIPE + 4 * (column / 2) + column % 2;
  const bool with_sinks = begin < block.work.sink_tokens;
  for (int pass = with_sinks ? 0 : 1; pass < 2; ++pass) {
    const bool first = token < block.work.sink_tokens;
    const bool second = token + 2 < block.work.sink_tokens;
    const uint32_t keep[2] = {first == (pass == 0) ? 0xffffffffu : 0u,
                              second == (pass == 0) ? 0xffffffffu : 0u};
    const uint8_t* queries = block.shared + (pass == 0 ? block.plan.sink_queries : block.plan.queries);
    add_scores<M, type>(block, keys, scales, queries, with_sinks, keep, s);
  }
  if (type != AIR_KV_INT8) return;
  float token_scales[2][2];
  load_key_scales(scales, token_scales);
  AIR_UNROLL
  for (int i = 0; i < 8 * M; ++i) s[i / 8][i / 4 % 2][i % 4] *= token_scales[i / 4 % 2][i % 2];
}

template <int M>
AIR_DEVICE void score_any(const TileBlock& block, int32_t begin, const uint8_t* stage, float (&s)[M][2][4]) {
  if (block.params->key_type == AIR_KV_INT8) {
    score_block<M, AIR_KV_INT8>(block, begin, stage, s);
  } else if (block.params->key_type == AIR_KV_INT4) {
    score_block<M, AIR_KV_INT4>(block, begin, stage, s);
  } else {
    score_block<M, AIR_KV_F16>(block, begin, stage, s);
  }
}

// What a query does not read scores -INFINITY. begin: of the block of 64.
template <int M>
AIR_DEVICE void mask_scores(const TileBlock& block, int32_t begin, float (&s)[M][2][4]) {
  if (is_full(block.work, begin)) return;
  const auto* slots = reinterpret_cast<const QuerySlot*>(block.shared + block.plan.slots);
  const auto lane = static_cast<int32_t>(lane_id());
  const int32_t token = begin + static_cast<int32_t>(warp_id()) * AIR_STRIPE + lane % 4 * 4;
  AIR_UNROLL
  for (int i = 0; i < 2 * M; ++i) {
    const int m = i / 2, h = i % 2;
    if (!has_queries(block, m, h)) continue;
    const QuerySlot slot = slots[m * kMmaQueries + h * 8 + lane / 4];
    AIR_UNROLL
    for (int k = 0; k < 4; ++k) {
      const bool read =
          token + k < slot.end && (token + k < block.work.sink_tokens || token + k >= slot.window_start);
      if (!read) s[m][k / 2][2 * h + k % 2] = kNothingRead;
    }
  }
}

AIR_DEVICE float larger(float a, float b) {  // a NaN as b is passed over
  return b > a ? b : a;
}

// Shares each query's largest score of the warp's tokens with the other warps, after the barrier that follows.
template <int M>
AIR_DEVICE void share_maxima(const TileBlock& block, const float (&s)[M][2][4]) {
  auto* maxima = reinterpret_cast<float*>(block.shared + block.plan.maxima);
  const uint32_t lane = lane_id();
  AIR_UNROLL
  for (int i = 0; i < 2 * M; ++i) {
    const int m = i / 2, h = i % 2;
    if (!has_queries(block, m, h)) continue;
    float largest = kNothingRead;
    AIR_UNROLL
    for (int k = 0; k < 4; ++k) largest = larger(largest, s[m][k / 2][2 * h + k % 2]);
    largest = larger(largest, shuffle_xor(largest, 1));
    largest = larger(largest, shuffle_xor(largest, 2));
    if (lane % 4 == 0)
      maxima[(static_cast<uint32_t>(m * kMmaQueries + h * 8) + lane / 4) * kAttentionWarps + warp_id()] =
          largest;
  }
}

// After that barrier: scores become weights exp(s - maximum), which are added to the sums and written as A fragments
// for the barrier that follows. correction: what the earlier sums are to be multiplied by, applied to `sum` here.
template <int M, int C>
AIR_DEVICE void weigh(const TileBlock& block, float (&s)[M][2][4], float (&correction)[M][2],
                      SplitSums<M, C>* sums) {
  const auto* maxima = reinterpret_cast<const float*>(block.shared + block.plan.maxima);
  const uint32_t lane = lane_id();
  AIR_UNROLL
  for (int m = 0; m < M; ++m) {
    uint32_t fragment[4] = {0, 0, 0, 0};
    AIR_UNROLL
    for (int h = 0; h < 2; ++h) {
      correction[m][h] = 0.0f;
      if (!has_queries(block, m, h)) continue;
      const Words4 of_warps =
          load_words4(maxima + (static_cast<uint32_t>(m * kMmaQueries + h * 8) + lane / 4) * kAttentionWarps);
      const float old_largest = sums->largest[m][h];
      float largest = larger(old_largest, bits_float(of_warps.x));
      largest = larger(largest, bits_float(of_warps.y));
      largest = larger(largest, bits_float(of_warps.z));
      largest = larger(largest, bits_float(of_warps.w));
      correction[m][h] = old_largest == kNothingRead ? 0.0f : canonical_exp(old_largest - largest);
      sums->largest[m][h] = largest;
      float p[4];
      AIR_UNROLL
      for (int k = 0; k < 4; ++k) {
        const float score = s[m][k / 2][2 * h + k % 2];
        p[k] = score == kNothingRead ? 0.0f : canonical_exp(score - largest);
      }
      sums->sum[m][h] = fmaf(sums->sum[m][h], correction[m][h], (p[0] + p[1]) + (p[2] + p[3]));
      fragment[h] = pack_halves(p[0], p[1]);
      fragment[2 + h] = pack_halves(p[2], p[3]);
    }
    if (M > 1 && m >= block.m_tiles) continue;
    const int stripe = m * kAttentionWarps + static_cast<int>(warp_id());
    store_words4(block.shared + block.plan.weights + stripe * 512 + lane * 16,
                 {fragment[0], fragment[1], fragment[2], fragment[3]});
  }
}

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_ATTENTION_SCORES_H_
