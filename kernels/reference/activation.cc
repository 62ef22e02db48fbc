// y = gate / (1 + exp(-gate)) * up
#include "kernels/reference/ops.h"
#include "kernels/reference/scalar.h"

namespace air::reference {

// gate, up, y: [count]
void silu_mul(const float* gate, const float* up, int64_t count, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] = gate[i] / (1.0f + canonical_exp(-gate[i])) * up[i];
}

}  // namespace air::reference
