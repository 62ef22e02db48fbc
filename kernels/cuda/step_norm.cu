// y = x / sqrt(mean(x^2) + epsilon) * weight, x float32 [rows, cols], y binary16 [rows, y_stride], saturated.
// wide, where it is asked for: the same in float32, [rows, cols]. RMSNorm: arXiv 1910.07467. launch: (rows) blocks of 256 threads.
//
// Order of the sum: thread t adds the squares of k = t, t + 256, .. in order by fma; each warp's lanes are added as a
// tree by distances 16, 8, 4, 2, 1; then the warps from the first to the last. It depends on cols alone.
#include "kernels/cuda/device.h"
#include "kernels/cuda/step_params.h"

AIR_KERNEL(256) air_step_norm(air::cuda::NormParams p) {
  using namespace air::cuda;
  const auto row = static_cast<int64_t>(block_x());
  if (row >= *p.row_count) return;
  auto* warps = reinterpret_cast<float*>(shared_memory());
  const float* x = p.x + row * p.cols;
  float sum = 0.0f;
  for (auto k = static_cast<int32_t>(thread_id()); k < p.cols; k += 256) sum = fmaf(x[k], x[k], sum);
  for (uint32_t distance = 16; distance > 0; distance /= 2) sum += shuffle_xor(sum, distance);
  if (lane_id() == 0) warps[warp_id()] = sum;
  sync_threads();
  float total = 0.0f;
  for (int i = 0; i < 8; ++i) total += warps[i];
  const float inverse = 1.0f / sqrtf(total / static_cast<float>(p.cols) + p.epsilon);
  uint16_t* y = p.y + row * p.y_stride;
  for (auto k = static_cast<int32_t>(thread_id()); k < p.cols; k += 256) {
    const float normed = x[k] * inverse * p.weight[k];
    y[k] = float_to_half_saturated(normed);
    if (p.wide != nullptr) p.wide[row * p.cols + k] = normed;
  }
}
