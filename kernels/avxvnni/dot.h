// Integer dot products of AVX-VNNI: kernels/avx2/dot.h in one instruction per step. It multiplies unsigned
// weights by signed activations, so signed weights are made unsigned by adding 128, which the start of the sum
// takes off again.
#ifndef AIR_KERNELS_AVXVNNI_DOT_H_
#define AIR_KERNELS_AVXVNNI_DOT_H_

#include "kernels/avx2/simd.h"

namespace air::avxvnni {
namespace {  // internal linkage, for the members too

struct NibbleDot {
  static __m256i begin(int32_t start) { return _mm256_set1_epi32(start); }
  static __m256i add(__m256i sum, __m256i weights, __m256i quad) {
    return _mm256_dpbusd_avx_epi32(sum, weights, quad);
  }
  static __m256i end(__m256i sum, int32_t) { return sum; }
};

struct ByteDot {
  static constexpr int32_t kOffset = 128;

  typedef __m256i Weights;
  static __m256i prepare(__m256i values) { return _mm256_xor_si256(values, _mm256_set1_epi8(-128)); }

  static __m256i begin(int32_t start) { return _mm256_set1_epi32(start); }
  static __m256i add(__m256i sum, __m256i weights, __m256i quad) {
    return _mm256_dpbusd_avx_epi32(sum, weights, quad);
  }
};

}  // namespace
}  // namespace air::avxvnni

#endif  // AIR_KERNELS_AVXVNNI_DOT_H_
