// float32 rows -> int8 in groups of 32 with a float32 scale.
#include "kernels/avx512/ops.h"
#include "kernels/avx512/simd.h"

namespace air::avx512 {
namespace {

constexpr uint32_t kInfinityBits = 0x7f800000u;
constexpr uint32_t kNanBits = 0x7fc00000u;

// Rounds 16 scaled values to int8; returns their sum.
inline int32_t quantize_half(__m512 x, __m512 inverse, int8_t* q) {
  const __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(x, inverse));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm512_cvtepi32_epi8(rounded));
  return _mm512_reduce_add_epi32(rounded);
}

// x, q: [32]; sums: [2]
inline void quantize_group(const float* x, int8_t* q, float* scale, int32_t* sums) {
  const __m512 first = _mm512_loadu_ps(x);
  const __m512 second = _mm512_loadu_ps(x + 16);
  const __m512i larger = _mm512_max_epi32(magnitude_bits(first), magnitude_bits(second));
  const uint32_t max_bits = static_cast<uint32_t>(_mm512_reduce_max_epi32(larger));
  const float amax = bits_float(max_bits);
  if (max_bits >= kInfinityBits || amax < AIR_QUANTIZE_TINY) {
    memset(q, 0, AIR_GROUP);
    *scale = max_bits >= kInfinityBits ? bits_float(kNanBits) : 0.0f;
    sums[0] = sums[1] = 0;
    return;
  }
  const __m512 inverse = _mm512_set1_ps(127.0f / amax);
  *scale = amax / 127.0f;
  sums[0] = quantize_half(first, inverse, q);
  sums[1] = quantize_half(second, inverse, q + 16);
}

}  // namespace

void quantize_rows(const float* x, int64_t rows, int64_t cols, int8_t* q, float* scales, int32_t* sums16) {
  const int64_t groups = rows * (cols / AIR_GROUP);
  for (int64_t g = 0; g < groups; ++g) {
    quantize_group(x + g * AIR_GROUP, q + g * AIR_GROUP, scales + g, sums16 + 2 * g);
  }
}

}  // namespace air::avx512
