// y = gate / (1 + exp(-gate)) * up
#include "kernels/neon/ops.h"
#include "kernels/neon/simd.h"

namespace air::neon {

// gate, up, y: [count]
void silu_mul(const float* gate, const float* up, int64_t count, float* y) {
  for (int64_t i = 0; i < count; i += 4) {
    const float32x4_t g = load_lanes(gate + i, count - i);
    const float32x4_t silu = vdivq_f32(g, vaddq_f32(vdupq_n_f32(1.0f), canonical_exp(vnegq_f32(g))));
    store_lanes(y + i, count - i, vmulq_f32(silu, load_lanes(up + i, count - i)));
  }
}

}  // namespace air::neon
