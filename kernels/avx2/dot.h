// Integer dot products of AVX2, four products per 32-bit lane and step. kernels/avxvnni has the same two types
// on one instruction each. Exact: nothing here can saturate.
#ifndef AIR_KERNELS_AVX2_DOT_H_
#define AIR_KERNELS_AVX2_DOT_H_

#include "kernels/avx2/simd.h"

namespace air::avx2 {
namespace {  // internal linkage, for the members too

// Weights of 4 bits, unsigned as stored. Sums are pairs of 16 bits until the end of a group: 8 steps of 2
// products of at most 15 * 127 stay below 32768.
struct NibbleDot {
  static __m256i begin(int32_t) { return _mm256_setzero_si256(); }
  static __m256i add(__m256i sum, __m256i weights, __m256i quad) {
    return _mm256_add_epi16(sum, _mm256_maddubs_epi16(weights, quad));
  }
  // start: what the group's 32-bit sum starts from.
  static __m256i end(__m256i sum, int32_t start) {
    const __m256i dot = _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
    return _mm256_add_epi32(dot, _mm256_set1_epi32(start));
  }
};

// Weights of 8 bits, signed.
struct ByteDot {
  static constexpr int32_t kOffset = 0;  // how much larger than their meaning the prepared weights are

  struct Weights {
    __m256i values, magnitudes;
  };
  static Weights prepare(__m256i values) { return {values, _mm256_abs_epi8(values)}; }

  static __m256i begin(int32_t) { return _mm256_setzero_si256(); }
  static __m256i add(__m256i sum, const Weights& weights, __m256i quad) {
    return _mm256_add_epi32(sum, signed_dot(weights.values, weights.magnitudes, quad));
  }
};

}  // namespace
}  // namespace air::avx2

#endif  // AIR_KERNELS_AVX2_DOT_H_
