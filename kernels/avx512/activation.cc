// y = gate / (1 + exp(-gate)) * up
#include "kernels/avx512/ops.h"
#include "kernels/avx512/simd.h"

namespace air::avx512 {

// gate, up, y: [count]
void silu_mul(const float* gate, const float* up, int64_t count, float* y) {
  const __m512i sign_bit = _mm512_set1_epi32(static_cast<int32_t>(0x80000000u));
  const __m512 one = _mm512_set1_ps(1.0f);
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 mask = first_lanes(count - i);
    const __m512 g = _mm512_maskz_loadu_ps(mask, gate + i);
    const __m512 negated = _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(g), sign_bit));
    const __m512 silu = _mm512_div_ps(g, _mm512_add_ps(one, canonical_exp(negated)));
    _mm512_mask_storeu_ps(y + i, mask, _mm512_mul_ps(silu, _mm512_maskz_loadu_ps(mask, up + i)));
  }
}

}  // namespace air::avx512
