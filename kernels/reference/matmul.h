// The loop that every reference matmul shares.
#ifndef AIR_KERNELS_REFERENCE_MATMUL_H_
#define AIR_KERNELS_REFERENCE_MATMUL_H_

#include "kernels/include/air_kernels.h"

namespace air::reference {

// Stores output(weights, x, row, column) for every activation row and output channel that `args` asks for.
template <typename Output>
void each_output(const AirMatmulArgs& args, Output output) {
  const AirMatrix& w = *args.weights;
  const int64_t tiles_end = args.tile_end * AIR_TILE_ROWS;
  const int64_t column_end = tiles_end < w.rows ? tiles_end : w.rows;
  for (int64_t row = args.row_begin; row < args.row_end; ++row) {
    for (int64_t column = args.tile_begin * AIR_TILE_ROWS; column < column_end; ++column) {
      float* y = args.y + row * args.y_stride + column;
      const float result = output(w, *args.x, row, column);
      *y = args.store == AIR_STORE_ADD ? *y + result : result;
    }
  }
}

}  // namespace air::reference

#endif  // AIR_KERNELS_REFERENCE_MATMUL_H_
