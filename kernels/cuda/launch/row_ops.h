// Launch shapes of the kernels over rows of logits (row_ops.cu, row_top_k.cu). Host only.
#ifndef AIR_KERNELS_CUDA_LAUNCH_ROW_OPS_H_
#define AIR_KERNELS_CUDA_LAUNCH_ROW_OPS_H_

#include "kernels/cuda/launch/shape.h"
#include "kernels/cuda/row_params.h"

namespace air::cuda {

// One block for each row, as many threads as a row keeps busy. Part of the order of sums: a function of cols alone.
inline LaunchShape row_shape(int64_t rows, int64_t cols, uint32_t shared_bytes) {
  LaunchShape shape;
  shape.grid_x = static_cast<uint32_t>(rows);
  shape.threads = cols >= 4096 ? 1024 : 256;
  shape.shared_bytes = shared_bytes;
  return shape;
}

inline LaunchShape softmax_shape(int64_t rows, int64_t cols) { return row_shape(rows, cols, 32 * 4); }
inline LaunchShape residual_shape(int64_t rows, int64_t cols) { return row_shape(rows, cols, 32 * 4); }
inline LaunchShape sample_shape(int64_t rows, int64_t cols) { return row_shape(rows, cols, 32 * (8 + 4)); }
inline LaunchShape top_k_shape(int64_t rows, int64_t cols) {
  return row_shape(rows, cols, kMaxTopK * 8 + (256 + 4) * 4);
}

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_LAUNCH_ROW_OPS_H_
