// AVX-512 building blocks. Internal linkage ("static"), so that no other file can be given this code.
#ifndef AIR_KERNELS_AVX512_SIMD_H_
#define AIR_KERNELS_AVX512_SIMD_H_

// GCC 12 warns about the undefined registers inside its own header (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#include <stdint.h>
#include <string.h>

// The compiler must unroll loops over register arrays, or the arrays live in memory.
#if defined(__clang__)
#define AIR_UNROLL _Pragma("unroll")
#else
#define AIR_UNROLL _Pragma("GCC unroll 16")
#endif

namespace air::avx512 {

// The low `count` of 16 lanes.
static inline __mmask16 first_lanes(int64_t count) {
  return count >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << count) - 1u);
}

// 16 binary16 values.
static inline __m512 load_halves(const void* halves) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(halves)));
}

// Four int8 values in every 32-bit lane.
static inline __m512i broadcast_quad(const int8_t* quad) {
  int32_t bits;
  memcpy(&bits, quad, sizeof bits);
  return _mm512_set1_epi32(bits);
}

// The canonical exp of air_kernels.h. min and max return their second operand for a NaN.
static inline __m512 canonical_exp(__m512 x) {
  x = _mm512_max_ps(_mm512_set1_ps(-87.3365478515625f), x);
  x = _mm512_min_ps(_mm512_set1_ps(88.3762626647949f), x);
  const __m512 scaled = _mm512_mul_ps(x, _mm512_set1_ps(1.44269504088896341f));
  const __m512 n = _mm512_roundscale_ps(scaled, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(-0.693359375f), x);
  r = _mm512_fmadd_ps(n, _mm512_set1_ps(2.12194440e-4f), r);
  __m512 p = _mm512_set1_ps(1.9875691500e-4f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
  const __m512 y = _mm512_add_ps(_mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r), _mm512_set1_ps(1.0f));
  const __m512i exponent = _mm512_slli_epi32(_mm512_cvtps_epi32(n), 23);
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(y), exponent));
}

// Sums 16 lanes as a tree: s_l += s_{l+8}, then +4, +2, +1.
static inline float reduce_lanes(__m512 lanes) {
  const __m256 by8 = _mm256_add_ps(_mm512_castps512_ps256(lanes), _mm512_extractf32x8_ps(lanes, 1));
  const __m128 by4 = _mm_add_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
  const __m128 by2 = _mm_add_ps(by4, _mm_movehl_ps(by4, by4));
  return _mm_cvtss_f32(_mm_add_ss(by2, _mm_movehdup_ps(by2)));
}

// The largest lane of each of four registers without NaN.
static inline __m128 reduce_max4(const __m512 (&x)[4]) {
  const __m512 pairs = _mm512_max_ps(_mm512_unpacklo_ps(x[0], x[1]), _mm512_unpackhi_ps(x[0], x[1]));
  const __m512 others = _mm512_max_ps(_mm512_unpacklo_ps(x[2], x[3]), _mm512_unpackhi_ps(x[2], x[3]));
  const __m512d low = _mm512_unpacklo_pd(_mm512_castps_pd(pairs), _mm512_castps_pd(others));
  const __m512d high = _mm512_unpackhi_pd(_mm512_castps_pd(pairs), _mm512_castps_pd(others));
  const __m512 quads = _mm512_max_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high));
  const __m256 halves = _mm256_max_ps(_mm512_castps512_ps256(quads), _mm512_extractf32x8_ps(quads, 1));
  return _mm_max_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1));
}

// Bit pattern of |x|: as integers these order like the floats, and a NaN beats everything.
static inline __m512i magnitude_bits(__m512 x) {
  return _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff));
}

static inline float bits_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace air::avx512

#endif  // AIR_KERNELS_AVX512_SIMD_H_
