// y = x * (1 / sqrt(mean(x^2) + epsilon)) * weight
#include "kernels/reference/ops.h"
#include "kernels/reference/scalar.h"

namespace air::reference {

// x, weight, y: [cols]
void rms_norm(const float* x, const float* weight, float epsilon, int64_t cols, float* y) {
  float lanes[16] = {};
  for (int64_t k = 0; k < cols; ++k) lanes[k % 16] = fmaf(x[k], x[k], lanes[k % 16]);
  const float mean = reduce_lanes(lanes) / static_cast<float>(cols);
  const float inverse = 1.0f / sqrtf(mean + epsilon);
  for (int64_t k = 0; k < cols; ++k) y[k] = (x[k] * inverse) * weight[k];
}

}  // namespace air::reference
