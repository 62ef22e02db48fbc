// y = x * (1 / sqrt(mean(x^2) + epsilon)) * weight
#include "kernels/avx2/ops.h"
#include "kernels/avx2/simd.h"

namespace air::avx2 {

// x, weight, y: [cols]
void rms_norm(const float* x, const float* weight, float epsilon, int64_t cols, float* y) {
  __m256 low = _mm256_setzero_ps();   // lanes k mod 16 = 0 .. 7
  __m256 high = _mm256_setzero_ps();  // lanes k mod 16 = 8 .. 15
  for (int64_t k = 0; k < cols; k += 16) {
    // A masked lane adds 0 * 0 to a sum that is never -0: the same as skipping it.
    const __m256 low_part = _mm256_maskload_ps(x + k, first_lanes(cols - k));
    const __m256 high_part = _mm256_maskload_ps(x + k + 8, first_lanes(cols - k - 8));
    low = _mm256_fmadd_ps(low_part, low_part, low);
    high = _mm256_fmadd_ps(high_part, high_part, high);
  }
  const float mean = reduce_lanes(low, high) / static_cast<float>(cols);
  const __m256 inverse = _mm256_set1_ps(1.0f / __builtin_sqrtf(mean + epsilon));
  for (int64_t k = 0; k < cols; k += 8) {
    const __m256i mask = first_lanes(cols - k);
    const __m256 part = _mm256_mul_ps(_mm256_maskload_ps(x + k, mask), inverse);
    _mm256_maskstore_ps(y + k, mask, _mm256_mul_ps(part, _mm256_maskload_ps(weight + k, mask)));
  }
}

}  // namespace air::avx2
