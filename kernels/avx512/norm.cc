// y = x * (1 / sqrt(mean(x^2) + epsilon)) * weight
#include "kernels/avx512/ops.h"
#include "kernels/avx512/simd.h"

namespace air::avx512 {

// x, weight, y: [cols]
void rms_norm(const float* x, const float* weight, float epsilon, int64_t cols, float* y) {
  __m512 lanes = _mm512_setzero_ps();
  for (int64_t k = 0; k < cols; k += 16) {
    const __mmask16 mask = first_lanes(cols - k);
    const __m512 part = _mm512_maskz_loadu_ps(mask, x + k);
    lanes = _mm512_mask3_fmadd_ps(part, part, lanes, mask);
  }
  const float mean = reduce_lanes(lanes) / static_cast<float>(cols);
  const __m512 inverse = _mm512_set1_ps(1.0f / __builtin_sqrtf(mean + epsilon));
  for (int64_t k = 0; k < cols; k += 16) {
    const __mmask16 mask = first_lanes(cols - k);
    const __m512 part = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + k), inverse);
    _mm512_mask_storeu_ps(y + k, mask, _mm512_mul_ps(part, _mm512_maskz_loadu_ps(mask, weight + k)));
  }
}

}  // namespace air::avx512
