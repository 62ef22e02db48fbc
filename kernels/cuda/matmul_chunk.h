// What all matmul kernels do with one chunk of k, so that they cannot differ in its order of operations, and with a
// finished tile.
#ifndef AIR_KERNELS_CUDA_MATMUL_CHUNK_H_
#define AIR_KERNELS_CUDA_MATMUL_CHUNK_H_

#include "kernels/cuda/matmul_fragments.h"

namespace air::cuda {

// Sum over the group's 32 k of each of 8 rows of x: a matrix of ones times x gives a lane the sums of just the two
// rows that its accumulators belong to.
AIR_DEVICE void sum_group(const uint32_t (&b)[2][2], float (&sums)[2]) {
  constexpr uint32_t kOnes = 0x3c003c00u;
  const uint32_t ones[4] = {kOnes, kOnes, kOnes, kOnes};
  float d[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  mma_m16n8k16(d, ones, b[0]);
  mma_m16n8k16(d, ones, b[1]);
  sums[0] = d[0];
  sums[1] = d[1];
}

// Where multiply_chunk gets the group sums from: computed by every warp for itself,
struct SumsByMma {};
AIR_DEVICE void get_sums(SumsByMma, const uint32_t (&b)[2][2], int, int, float (&sums)[2]) {
  sum_group(b, sums);
}
// or from a table in shared memory that the warps of the block filled by sum_group.
struct SumsByTable {
  const float* table;  // [2 halves][rows]
  int rows;
};
AIR_DEVICE void get_sums(SumsByTable from, const uint32_t (&)[2][2], int h, int n, float (&sums)[2]) {
  const Words2 v = load_words2(from.table + h * from.rows + n * 8 + lane_id() % 4 * 2);
  sums[0] = bits_float(v.x);
  sums[1] = bits_float(v.y);
}

// acc += a b for one scale group that spans the steps [0, steps) of a and b.
template <int steps>
AIR_DEVICE void multiply_group(const uint32_t (*a)[4], const uint32_t (*b)[2], float scale, float scale8,
                               float (&acc)[4]) {
  float d[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  AIR_UNROLL
  for (int j = 0; j < steps; ++j) {
    const uint32_t a_step[4] = {a[j][0], a[j][1], a[j][2], a[j][3]};
    const uint32_t b_step[2] = {b[j][0], b[j][1]};
    mma_m16n8k16(d, a_step, b_step);
  }
  acc[0] = fmaf(d[0], scale, acc[0]);
  acc[1] = fmaf(d[1], scale, acc[1]);
  acc[2] = fmaf(d[2], scale8, acc[2]);
  acc[3] = fmaf(d[3], scale8, acc[3]);
}

// One half of a chunk of one tile against 8 rows of x, whose sums over the half are `sums`.
template <class F>
AIR_DEVICE void multiply_half(const uint32_t (&a)[2][4], const uint32_t (&b)[2][2], const Scales<F>& scales,
                              const float (&sums)[2], float (&acc)[4]) {
  if constexpr (F::kIsF16) {
    mma_m16n8k16(acc, a[0], b[0]);
    mma_m16n8k16(acc, a[1], b[1]);
  } else if constexpr (F::kHasGroup16) {
    multiply_group<1>(&a[0], &b[0], scales.scale[0][0], scales.scale[1][0], acc);
    multiply_group<1>(&a[1], &b[1], scales.scale[0][1], scales.scale[1][1], acc);
  } else {
    multiply_group<2>(&a[0], &b[0], scales.scale[0][0], scales.scale[1][0], acc);
  }
  if constexpr (F::kHasMin) {
    acc[0] = fmaf(sums[0], scales.min[0], acc[0]);
    acc[1] = fmaf(sums[1], scales.min[0], acc[1]);
    acc[2] = fmaf(sums[0], scales.min[1], acc[2]);
    acc[3] = fmaf(sums[1], scales.min[1], acc[3]);
  }
}

// What the sum of slices starts from: -0 + x is x to the bit, also for x = 0.
constexpr float kNoSum = -0.0f;

// acc[m][n] += half h of a chunk of tile m times rows 8 n .. 8 n + 7 of x, laid out as the C operand of mma.m16n8k16.
// weights: m_tiles chunks one after the other in shared memory, x: 8 n_tiles swizzled rows there.
template <class F, int m_tiles, int n_tiles, class GroupSums>
AIR_DEVICE void multiply_half_chunk(const uint8_t* weights, const uint8_t* x, GroupSums group_sums, int h,
                                    float (&acc)[m_tiles][n_tiles][4]) {
  uint32_t a[m_tiles][2][4];
  Scales<F> scales[m_tiles];
  AIR_UNROLL
  for (int m = 0; m < m_tiles; ++m) {
    uint32_t words[F::kHalfWords];
    load_values<F>(weights + m * F::kChunkBytes, h, words);
    load_scales<F>(weights + m * F::kChunkBytes + F::kValueBytes, h, scales[m]);
    dequantize<F>(words, 0, a[m][0]);
    dequantize<F>(words, 1, a[m][1]);
  }
  AIR_UNROLL
  for (int n = 0; n < n_tiles; ++n) {
    uint32_t b[2][2];
    load_activations<F>(x + n * 8 * kActivationRowBytes, h, b);
    float sums[2] = {0.0f, 0.0f};
    if constexpr (F::kHasMin) get_sums(group_sums, b, h, n, sums);
    AIR_UNROLL
    for (int m = 0; m < m_tiles; ++m) multiply_half<F>(a[m], b, scales[m], sums, acc[m][n]);
  }
}

// Both halves of a chunk. With many rows the compiler would load so far ahead that it runs out of registers.
template <class F, int m_tiles, int n_tiles, class GroupSums>
AIR_DEVICE void multiply_chunk(const uint8_t* weights, const uint8_t* x, GroupSums group_sums,
                               float (&acc)[m_tiles][n_tiles][4]) {
  if constexpr (n_tiles > 4) {
    AIR_NO_UNROLL
    for (int h = 0; h < 2; ++h) multiply_half_chunk<F, m_tiles, n_tiles>(weights, x, group_sums, h, acc);
  } else {
    AIR_UNROLL
    for (int h = 0; h < 2; ++h) multiply_half_chunk<F, m_tiles, n_tiles>(weights, x, group_sums, h, acc);
  }
}

// Starts the copy of one warp's chunks of m_tiles tiles to shared memory, laid out as multiply_chunk reads them.
// offset: of the chunk in its tile.
template <class F, int m_tiles>
AIR_DEVICE void copy_weights(const uint8_t* const (&tiles)[m_tiles], int64_t offset, uint8_t* to) {
  constexpr uint32_t kUnits = F::kChunkBytes / 16;
  AIR_UNROLL
  for (int m = 0; m < m_tiles; ++m) {
    AIR_UNROLL
    for (uint32_t first = 0; first < kUnits; first += kWarp) {
      const uint32_t at = (first + lane_id()) * 16;
      if (first + kWarp > kUnits && first + lane_id() >= kUnits) continue;
      cp_async16(to + m * F::kChunkBytes + at, tiles[m] + offset + at);
    }
  }
}

// cp_async_wait for a depth that only the launch knows.
AIR_DEVICE void wait_for_copies(int32_t pending) {
  switch (pending) {
    case 1:
      return cp_async_wait<1>();
    case 2:
      return cp_async_wait<2>();
    case 3:
      return cp_async_wait<3>();
    case 4:
      return cp_async_wait<4>();
    case 5:
      return cp_async_wait<5>();
    case 6:
      return cp_async_wait<6>();
    default:
      return cp_async_wait<0>();
  }
}

// Activation rows of this launch.
AIR_DEVICE int32_t active_rows(const MatmulParams& p) {
  if (p.row_count == nullptr) return p.max_rows;
  const int32_t count = *p.row_count;
  return count < p.max_rows ? count : p.max_rows;
}

AIR_DEVICE float silu(float x) { return x / (1.0f + canonical_exp(-x)); }

// y of one output as kSet and kAdd say. packed: the output's row of the packed weights.
AIR_DEVICE void store_output(const MatmulParams& p, int32_t row, int32_t column, int32_t packed, float sum) {
  float* y = static_cast<float*>(p.y) + static_cast<int64_t>(row) * p.y_stride + column;
  const float value = p.store == MatmulStore::kAdd ? *y + sum : sum;
  *y = p.bias != nullptr ? value + p.bias[packed] : value;
}

// One value of the hidden row from its gate and up projections.
AIR_DEVICE void store_hidden(const MatmulParams& p, int32_t row, int32_t column, int32_t packed, float gate,
                             float up) {
  if (p.bias != nullptr) {
    gate = gate + p.bias[packed];
    up = up + p.bias[packed + 8];
  }
  uint16_t* hidden = static_cast<uint16_t*>(p.y) + static_cast<int64_t>(row) * p.y_stride + column;
  *hidden = float_to_half_saturated(silu(gate) * up);
}

// Stores one tile times 8 rows, `sum` being laid out as the C operand. first_row: of the 8.
AIR_DEVICE void store_tile(const MatmulParams& p, int32_t tile, int32_t first_row, int32_t row_end,
                           const float (&sum)[4]) {
  const int32_t g = static_cast<int32_t>(lane_id() / 4);
  const int32_t packed = tile * kTileRows + g;
  AIR_UNROLL
  for (int i = 0; i < 2; ++i) {
    const int32_t row = first_row + static_cast<int32_t>(lane_id() % 4) * 2 + i;
    if (row >= row_end) continue;
    if (p.store == MatmulStore::kSwiglu) {
      const int32_t column = tile * 8 + g;
      if (column < p.outputs) store_hidden(p, row, column, packed, sum[i], sum[2 + i]);
    } else {
      if (packed < p.outputs) store_output(p, row, packed, packed, sum[i]);
      if (packed + 8 < p.outputs) store_output(p, row, packed + 8, packed + 8, sum[2 + i]);
    }
  }
}

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_MATMUL_CHUNK_H_
