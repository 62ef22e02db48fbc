// Rotary position embedding (arXiv 2104.09864), in place.
#include "kernels/avx512/ops.h"
#include "kernels/avx512/simd.h"

namespace air::avx512 {
namespace {

struct Pairs {
  __m512 a, b;
};

// a' = fma(a, cos, -(b sin)), b' = fma(a, sin, b cos)
inline Pairs rotate(Pairs x, __m512 cosine, __m512 sine) {
  return {_mm512_fmsub_ps(x.a, cosine, _mm512_mul_ps(x.b, sine)),
          _mm512_fmadd_ps(x.a, sine, _mm512_mul_ps(x.b, cosine))};
}

// x: [2 pairs]; pairs (j, j + pairs)
void rotate_half(float* x, int64_t pairs, const float* cosines, const float* sines) {
  for (int64_t j = 0; j < pairs; j += 16) {
    const __mmask16 mask = first_lanes(pairs - j);
    const Pairs old = {_mm512_maskz_loadu_ps(mask, x + j), _mm512_maskz_loadu_ps(mask, x + pairs + j)};
    const Pairs now =
        rotate(old, _mm512_maskz_loadu_ps(mask, cosines + j), _mm512_maskz_loadu_ps(mask, sines + j));
    _mm512_mask_storeu_ps(x + j, mask, now.a);
    _mm512_mask_storeu_ps(x + pairs + j, mask, now.b);
  }
}

// x: [2 pairs]; pairs (2 j, 2 j + 1)
void rotate_interleaved(float* x, int64_t pairs, const float* cosines, const float* sines) {
  const __m512i first_of_pair = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i second_of_pair = _mm512_add_epi32(first_of_pair, _mm512_set1_epi32(1));
  const __m512i low_pairs = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const __m512i high_pairs = _mm512_add_epi32(low_pairs, _mm512_set1_epi32(8));
  for (int64_t j = 0; j < pairs; j += 16) {
    const __mmask16 mask = first_lanes(pairs - j);
    const __mmask16 low_mask = first_lanes(2 * (pairs - j));
    const __mmask16 high_mask =
        pairs - j <= 8 ? static_cast<__mmask16>(0) : first_lanes(2 * (pairs - j) - 16);
    const __m512 low = _mm512_maskz_loadu_ps(low_mask, x + 2 * j);
    const __m512 high = _mm512_maskz_loadu_ps(high_mask, x + 2 * j + 16);
    const Pairs old = {_mm512_permutex2var_ps(low, first_of_pair, high),
                       _mm512_permutex2var_ps(low, second_of_pair, high)};
    const Pairs now =
        rotate(old, _mm512_maskz_loadu_ps(mask, cosines + j), _mm512_maskz_loadu_ps(mask, sines + j));
    _mm512_mask_storeu_ps(x + 2 * j, low_mask, _mm512_permutex2var_ps(now.a, low_pairs, now.b));
    _mm512_mask_storeu_ps(x + 2 * j + 16, high_mask, _mm512_permutex2var_ps(now.a, high_pairs, now.b));
  }
}

}  // namespace

// x: [heads, head_stride]; cosines, sines: [rope_dims / 2]
void rope(float* x, int64_t heads, int64_t head_stride, int64_t rope_dims, const float* cosines,
          const float* sines, int32_t pairing) {
  for (int64_t h = 0; h < heads; ++h) {
    float* head = x + h * head_stride;
    if (pairing == AIR_ROPE_INTERLEAVED) {
      rotate_interleaved(head, rope_dims / 2, cosines, sines);
    } else {
      rotate_half(head, rope_dims / 2, cosines, sines);
    }
  }
}

}  // namespace air::avx512
