// float32 rows -> int8 in groups of 32 with a float32 scale.
#include "kernels/avx2/ops.h"
#include "kernels/avx2/simd.h"

namespace air::avx2 {
namespace {

constexpr uint32_t kInfinityBits = 0x7f800000u;
constexpr uint32_t kNanBits = 0x7fc00000u;

// Sums of the first and of the last 16 of 32 integers.
inline void store_sums(const __m256i (&x)[4], int32_t* sums) {
  const __m256i first = _mm256_add_epi32(x[0], x[1]);
  const __m256i second = _mm256_add_epi32(x[2], x[3]);
  const __m256i pairs = _mm256_hadd_epi32(first, second);
  const __m256i quads = _mm256_hadd_epi32(pairs, pairs);  // per 128 bits: first, second, first, second
  const __m128i both = _mm_add_epi32(_mm256_castsi256_si128(quads), _mm256_extracti128_si256(quads, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(sums), both);
}

// x, q: [32]; sums: [2]
inline void quantize_group(const float* x, int8_t* q, float* scale, int32_t* sums) {
  __m256i largest = _mm256_setzero_si256();
  AIR_UNROLL
  for (int i = 0; i < 4; ++i) largest = _mm256_max_epi32(largest, magnitude_bits(_mm256_loadu_ps(x + 8 * i)));
  const uint32_t max_bits = reduce_max_bits(largest);
  const float amax = bits_float(max_bits);
  if (max_bits >= kInfinityBits || amax < AIR_QUANTIZE_TINY) {
    memset(q, 0, AIR_GROUP);
    *scale = max_bits >= kInfinityBits ? bits_float(kNanBits) : 0.0f;
    sums[0] = sums[1] = 0;
    return;
  }
  const __m256 inverse = _mm256_set1_ps(127.0f / amax);
  *scale = amax / 127.0f;
  __m256i rounded[4];
  AIR_UNROLL
  for (int i = 0; i < 4; ++i) {
    rounded[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), inverse));
  }
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), pack_bytes(rounded));
  store_sums(rounded, sums);
}

}  // namespace

void quantize_rows(const float* x, int64_t rows, int64_t cols, int8_t* q, float* scales, int32_t* sums16) {
  const int64_t groups = rows * (cols / AIR_GROUP);
  for (int64_t g = 0; g < groups; ++g) {
    quantize_group(x + g * AIR_GROUP, q + g * AIR_GROUP, scales + g, sums16 + 2 * g);
  }
}

}  // namespace air::avx2
