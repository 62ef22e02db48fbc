// From the sums of splits to the result: the same operations whether one block folds the splits of a tile or
// attention_merge.cu folds partial results, always from the first split to the last.
//
//   m' = max(m, m_split); keep = exp(m - m'), add = exp(m_split - m')   (0 where a maximum is -INFINITY)
//   sum = fma(sum_split, add, sum * keep), acc_d = fma(acc_split_d, add, acc_d * keep); in the end acc_d * (1 / sum)
//
// A split of which a query reads nothing changes no bit of its result.
#ifndef AIR_KERNELS_CUDA_ATTENTION_FOLD_H_
#define AIR_KERNELS_CUDA_ATTENTION_FOLD_H_

#include "kernels/cuda/attention_values.h"

namespace air::cuda {

AIR_DEVICE FoldFactors fold_factors(float largest, float of_split) {
  const float both = larger(largest, of_split);
  return {largest == kNothingRead ? 0.0f : canonical_exp(largest - both),
          of_split == kNothingRead ? 0.0f : canonical_exp(of_split - both)};
}

AIR_DEVICE float fold(float total, float of_split, FoldFactors factors) {
  return fmaf(of_split, factors.add, total * factors.keep);
}

AIR_DEVICE float inverse_of(float sum) {  // 0 for a query that read nothing
  return sum == 0.0f ? 0.0f : 1.0f / sum;
}

// Adds up what lanes and warps have of a split: `sum`, and acc where warps share a cell. Orders: the four lanes as a
// tree, warps ascending. Has a barrier.
template <int M, int C>
AIR_DEVICE void join_warps(const TileBlock& block, SplitSums<M, C>* sums) {
  auto* shared_sums = reinterpret_cast<float*>(block.shared + block.plan.sums);
  auto* parts = reinterpret_cast<float*>(block.shared + block.plan.parts);
  const uint32_t lane = lane_id();
  const auto warp = static_cast<int32_t>(warp_id());
  const int32_t part_count = value_parts(block.cells);
  AIR_UNROLL
  for (int i = 0; i < 2 * M; ++i) {
    float sum = sums->sum[i / 2][i % 2];
    sum += shuffle_xor(sum, 1);
    sum += shuffle_xor(sum, 2);
    if (lane % 4 == 0)
      shared_sums[(static_cast<uint32_t>(i / 2 * kMmaQueries + i % 2 * 8) + lane / 4) * kAttentionWarps +
                  static_cast<uint32_t>(warp)] = sum;
  }
  if (part_count > 1 && block.share.part > 0) {
    AIR_UNROLL
    for (int i = 0; i < 16 * M * C; ++i)
      parts[((warp - block.cells) * 16 * M * C + i) * 32 + static_cast<int32_t>(lane)] =
          sums->acc[i / 16 / M][i / 16 % M][i / 4 % 4][i % 4];
  }
  sync_threads();
  AIR_UNROLL
  for (int i = 0; i < 2 * M; ++i) {
    const Words4 of_warps = load_words4(
        shared_sums + (static_cast<uint32_t>(i / 2 * kMmaQueries + i % 2 * 8) + lane / 4) * kAttentionWarps);
    sums->sum[i / 2][i % 2] =
        ((bits_float(of_warps.x) + bits_float(of_warps.y)) + bits_float(of_warps.z)) + bits_float(of_warps.w);
  }
  if (part_count == 1 || block.share.part > 0) return;
  for (int32_t part = 1; part < part_count; ++part) {
    AIR_UNROLL
    for (int i = 0; i < 16 * M * C; ++i)
      sums->acc[i / 16 / M][i / 16 % M][i / 4 % 4][i % 4] +=
          parts[(((part - 1) * block.cells + warp) * 16 * M * C + i) * 32 + static_cast<int32_t>(lane)];
  }
}

// Of the splits so far. The threads' acc are in shared memory, [16 M C] floats, 128 apart.
template <int M>
struct TileTotals {
  float* acc;
  float largest[M][2];
  float sum[M][2];
};

template <int M, int C>
AIR_DEVICE void clear_totals(const TileBlock& block, TileTotals<M>* totals) {
  totals->acc = reinterpret_cast<float*>(block.shared + block.plan.totals) + thread_id();
  for (int i = 0; i < 16 * M * C; ++i) totals->acc[i * kAttentionThreads] = 0.0f;
  AIR_UNROLL
  for (int i = 0; i < 2 * M; ++i) {
    totals->largest[i / 2][i % 2] = kNothingRead;
    totals->sum[i / 2][i % 2] = 0.0f;
  }
}

template <int M, int C>
AIR_DEVICE void fold_into_totals(const SplitSums<M, C>& sums, TileTotals<M>* totals) {
  FoldFactors factors[M][2];
  AIR_UNROLL
  for (int i = 0; i < 2 * M; ++i) {
    const int m = i / 2, h = i % 2;
    factors[m][h] = fold_factors(totals->largest[m][h], sums.largest[m][h]);
    totals->largest[m][h] = larger(totals->largest[m][h], sums.largest[m][h]);
    totals->sum[m][h] = fold(totals->sum[m][h], sums.sum[m][h], factors[m][h]);
  }
  AIR_UNROLL
  for (int i = 0; i < 16 * M * C; ++i) {
    const int m = i / 16 % M;
    float* acc = totals->acc + i * kAttentionThreads;
    *acc = fold(*acc, sums.acc[i / 16 / M][m][i / 4 % 4][i % 4], factors[m][i / 2 % 2]);
  }
}

// Eight dims of a query's result as binary16, from dim `first` on; head_dim may end among them.
AIR_DEVICE void store_attended(const AttentionParams& params, int32_t target, int32_t first,
                               const float (&x)[8]) {
  uint16_t* to = params.attended + static_cast<int64_t>(target) * params.head_dim + first;
  uint16_t halves[8];
  AIR_UNROLL
  for (int i = 0; i < 8; ++i) halves[i] = float_to_half_saturated(x[i]);
  if (params.head_dim % 8 == 0 && first < params.head_dim) {
    Words4 words;
    memcpy(&words, halves, sizeof words);
    store_words4(to, words);
    return;
  }
  AIR_UNROLL
  for (int i = 0; i < 8; ++i) {
    if (first + i < params.head_dim) to[i] = halves[i];
  }
}

// Calls each(m, h, c, slot, dim) for every eight dims of a query that this thread has the sums of.
template <int M, int C, typename Each>
AIR_DEVICE void for_each_result(const TileBlock& block, Each each) {
  if (block.share.part > 0) return;
  const auto* slots = reinterpret_cast<const QuerySlot*>(block.shared + block.plan.slots);
  const auto lane = static_cast<int32_t>(lane_id());
  AIR_UNROLL
  for (int i = 0; i < 2 * M * C; ++i) {
    const int m = i / 2 % M, h = i % 2, c = i / 2 / M;
    const int32_t cell = block.share.first_cell + c * kAttentionWarps;
    const QuerySlot& slot = slots[m * kMmaQueries + h * 8 + lane / 4];
    if (cell < block.cells && slot.end > 0) each(m, h, c, slot.target, cell * kCellDims + lane % 4 * 8);
  }
}

template <int M, int C>
AIR_DEVICE void store_totals(const TileBlock& block, const TileTotals<M>& totals) {
  for_each_result<M, C>(block, [&](int m, int h, int c, int32_t target, int32_t dim) {
    const float inverse = inverse_of(totals.sum[m][h]);
    float x[8];
    AIR_UNROLL
    for (int k = 0; k < 8; ++k)
      x[k] = totals.acc[(((c * M + m) * 4 + k % 4) * 4 + 2 * h + k / 4) * kAttentionThreads] * inverse;
    store_attended(*block.params, target, dim, x);
  });
}

template <int M, int C>
AIR_DEVICE void store_partial(const TileBlock& block, int32_t split, const SplitSums<M, C>& sums) {
  const AttentionParams& params = *block.params;
  const int64_t queries = static_cast<int64_t>(params.partial_rows) * params.query_heads;
  const int64_t base = slot_of_split(params, block.work.sink_tokens, split) * queries;
  for_each_result<M, C>(block, [&](int m, int h, int c, int32_t target, int32_t dim) {
    const float(&acc)[4][4] = sums.acc[c][m];
    float* to = params.partials + (base + target) * params.padded_dim + dim;
    AIR_UNROLL
    for (int x = 0; x < 2; ++x) {
      const int e = 2 * h + x;
      store_words4(to + 4 * x, {float_bits(acc[0][e]), float_bits(acc[1][e]), float_bits(acc[2][e]),
                                float_bits(acc[3][e])});
    }
    if (dim == 0) params.stats[base + target] = {sums.largest[m][h], sums.sum[m][h]};
  });
}

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_ATTENTION_FOLD_H_
