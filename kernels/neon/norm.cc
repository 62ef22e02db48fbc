// y = x * (1 / sqrt(mean(x^2) + epsilon)) * weight
#include "kernels/neon/ops.h"
#include "kernels/neon/simd.h"

namespace air::neon {

// x, weight, y: [cols]
void rms_norm(const float* x, const float* weight, float epsilon, int64_t cols, float* y) {
  float32x4_t lanes[4];  // k mod 16 = 0 .. 3, 4 .. 7, 8 .. 11, 12 .. 15
  AIR_UNROLL
  for (int i = 0; i < 4; ++i) lanes[i] = vdupq_n_f32(0.0f);
  for (int64_t k = 0; k < cols; k += 16) {
    AIR_UNROLL
    for (int i = 0; i < 4; ++i) {
      // A missing lane adds 0 * 0 to a sum that is never -0: the same as skipping it.
      const float32x4_t part = load_lanes(x + k + 4 * i, cols - k - 4 * i);
      lanes[i] = vfmaq_f32(lanes[i], part, part);
    }
  }
  const float mean = reduce_lanes(lanes) / static_cast<float>(cols);
  const float inverse = 1.0f / __builtin_sqrtf(mean + epsilon);
  for (int64_t k = 0; k < cols; k += 4) {
    const float32x4_t part = vmulq_n_f32(load_lanes(x + k, cols - k), inverse);
    store_lanes(y + k, cols - k, vmulq_f32(part, load_lanes(weight + k, cols - k)));
  }
}

}  // namespace air::neon
