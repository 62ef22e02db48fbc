// Matrix products of float32 weights: y (=|+=) W x + bias.
//
//   y[row, n] = acc_0 + acc_1,  acc_p = fma(W[n, k], x[row, k], acc_p) over k = p, p + 2, .. from 0
//   W: tiles of 16 output rows, float [cols][16]; x: float16 [rows, x_stride]; y: float32 [rows, y_stride]
//   grid x: blocks of 4 tiles        grid y: blocks of 8 rows
//
// A warp has a tile: lanes 0..15 its rows at even k, lanes 16..31 at odd k, so that a load takes 128 bytes in a row.
// The order is that of kernels/reference/matmul_float.cc; the results are its bits for x that float16 holds. Float32
// matrices are rare (bfloat16 beyond the range of float16, models made for tests), so this kernel is plain.
#include "kernels/cuda/device.h"
#include "kernels/cuda/matmul_chunk.h"
#include "kernels/cuda/matmul_shapes.h"

namespace air::cuda {

constexpr int kPairsAtOnce = 4;  // pairs of k whose weights are loaded before the first is used

// acc[i] += weights of `count` pairs of k from `pair` on times row first_row + i of x.
template <int count>
AIR_DEVICE void multiply_pairs(const MatmulParams& p, const float* tile, int32_t first_row, int32_t row_end,
                               int32_t pair, float (&acc)[kFloatRows]) {
  const int32_t lane = static_cast<int32_t>(lane_id());
  float weight[count];
  AIR_UNROLL
  for (int i = 0; i < count; ++i) weight[i] = tile[(pair + i) * 32 + lane];
  AIR_UNROLL
  for (int row = 0; row < kFloatRows; ++row) {
    if (first_row + row >= row_end) continue;
    const uint16_t* x =
        p.x + static_cast<int64_t>(first_row + row) * p.x_stride + 2 * pair + lane / kTileRows;
    AIR_UNROLL
    for (int i = 0; i < count; ++i) acc[row] = fmaf(weight[i], half_to_float(x[2 * i]), acc[row]);
  }
}

}  // namespace air::cuda

AIR_KERNEL(128) air_matmul_f32(air::cuda::MatmulParams p) {
  using namespace air::cuda;
  const int32_t first_row = static_cast<int32_t>(block_y()) * kFloatRows;
  const int32_t row_end = active_rows(p);
  const int32_t tile = static_cast<int32_t>(block_x() * kFloatWarps + warp_id());
  if (first_row >= row_end || tile >= p.tiles) return;
  const int32_t lane = static_cast<int32_t>(lane_id());
  const float* weights = reinterpret_cast<const float*>(p.weights + tile * p.tile_stride);
  float acc[kFloatRows] = {};
  int32_t pair = 0;
  for (; pair + kPairsAtOnce <= p.cols / 2; pair += kPairsAtOnce) {
    multiply_pairs<kPairsAtOnce>(p, weights, first_row, row_end, pair, acc);
  }
  for (; pair < p.cols / 2; ++pair) multiply_pairs<1>(p, weights, first_row, row_end, pair, acc);
  if (p.cols % 2 != 0 && lane < kTileRows) {
    multiply_pairs<1>(p, weights, first_row, row_end, pair, acc);  // the last k is even
  }
  const int32_t column = tile * kTileRows + lane % kTileRows;
  AIR_UNROLL
  for (int row = 0; row < kFloatRows; ++row) {
    const float odd = shuffle_down(acc[row], kTileRows);
    if (first_row + row >= row_end || lane >= kTileRows || column >= p.outputs) continue;
    store_output(p, first_row + row, column, column, acc[row] + odd);
  }
}
