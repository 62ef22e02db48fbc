// y = gate / (1 + exp(-gate)) * up
#include "kernels/avx2/ops.h"
#include "kernels/avx2/simd.h"

namespace air::avx2 {

// gate, up, y: [count]
void silu_mul(const float* gate, const float* up, int64_t count, float* y) {
  const __m256 sign_bit = _mm256_set1_ps(-0.0f);
  const __m256 one = _mm256_set1_ps(1.0f);
  for (int64_t i = 0; i < count; i += 8) {
    const __m256i mask = first_lanes(count - i);
    const __m256 g = _mm256_maskload_ps(gate + i, mask);
    const __m256 silu = _mm256_div_ps(g, _mm256_add_ps(one, canonical_exp(_mm256_xor_ps(g, sign_bit))));
    _mm256_maskstore_ps(y + i, mask, _mm256_mul_ps(silu, _mm256_maskload_ps(up + i, mask)));
  }
}

}  // namespace air::avx2
