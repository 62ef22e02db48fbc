// Rotary position embedding (arXiv 2104.09864), in place.
#include "kernels/avx2/ops.h"
#include "kernels/avx2/simd.h"

namespace air::avx2 {
namespace {

struct Pairs {
  __m256 a, b;
};

// a' = fma(a, cos, -(b sin)), b' = fma(a, sin, b cos)
inline Pairs rotate(Pairs x, __m256 cosine, __m256 sine) {
  return {_mm256_fmsub_ps(x.a, cosine, _mm256_mul_ps(x.b, sine)),
          _mm256_fmadd_ps(x.a, sine, _mm256_mul_ps(x.b, cosine))};
}

// x: [2 pairs]; pairs (j, j + pairs)
void rotate_half(float* x, int64_t pairs, const float* cosines, const float* sines) {
  for (int64_t j = 0; j < pairs; j += 8) {
    const __m256i mask = first_lanes(pairs - j);
    const Pairs old = {_mm256_maskload_ps(x + j, mask), _mm256_maskload_ps(x + pairs + j, mask)};
    const Pairs now = rotate(old, _mm256_maskload_ps(cosines + j, mask), _mm256_maskload_ps(sines + j, mask));
    _mm256_maskstore_ps(x + j, mask, now.a);
    _mm256_maskstore_ps(x + pairs + j, mask, now.b);
  }
}

// Puts 64-bit pieces 0 2 1 3 in order.
inline __m256 swap_middle(__m256 x) {
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(x), _MM_SHUFFLE(3, 1, 2, 0)));
}

// x: [2 pairs]; pairs (2 j, 2 j + 1)
void rotate_interleaved(float* x, int64_t pairs, const float* cosines, const float* sines) {
  for (int64_t j = 0; j < pairs; j += 8) {
    const __m256i mask = first_lanes(pairs - j);
    const __m256i low_mask = first_lanes(2 * (pairs - j));
    const __m256i high_mask = first_lanes(2 * (pairs - j) - 8);
    const __m256 low = _mm256_maskload_ps(x + 2 * j, low_mask);
    const __m256 high = _mm256_maskload_ps(x + 2 * j + 8, high_mask);
    const Pairs old = {swap_middle(_mm256_shuffle_ps(low, high, _MM_SHUFFLE(2, 0, 2, 0))),
                       swap_middle(_mm256_shuffle_ps(low, high, _MM_SHUFFLE(3, 1, 3, 1)))};
    const Pairs now = rotate(old, _mm256_maskload_ps(cosines + j, mask), _mm256_maskload_ps(sines + j, mask));
    const __m256 outer = _mm256_unpacklo_ps(now.a, now.b);  // pairs 0 1, 4 5
    const __m256 inner = _mm256_unpackhi_ps(now.a, now.b);  // pairs 2 3, 6 7
    _mm256_maskstore_ps(x + 2 * j, low_mask, _mm256_permute2f128_ps(outer, inner, 0x20));
    _mm256_maskstore_ps(x + 2 * j + 8, high_mask, _mm256_permute2f128_ps(outer, inner, 0x31));
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

}  // namespace air::avx2
