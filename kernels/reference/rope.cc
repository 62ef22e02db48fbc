// Rotary position embedding (arXiv 2104.09864), in place.
#include <math.h>

#include "kernels/reference/ops.h"

namespace air::reference {

// x: [heads, head_stride]; cosines, sines: [rope_dims / 2]
void rope(float* x, int64_t heads, int64_t head_stride, int64_t rope_dims, const float* cosines,
          const float* sines, int32_t pairing) {
  const int64_t pairs = rope_dims / 2;
  const int64_t step = pairing == AIR_ROPE_INTERLEAVED ? 2 : 1;
  const int64_t distance = pairing == AIR_ROPE_INTERLEAVED ? 1 : pairs;
  for (int64_t h = 0; h < heads; ++h) {
    for (int64_t j = 0; j < pairs; ++j) {
      float* a = x + h * head_stride + j * step;
      float* b = a + distance;
      const float a_old = *a;
      const float b_old = *b;
      *a = fmaf(a_old, cosines[j], -(b_old * sines[j]));
      *b = fmaf(a_old, sines[j], b_old * cosines[j]);
    }
  }
}

}  // namespace air::reference
