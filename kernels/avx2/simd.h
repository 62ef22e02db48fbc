// AVX2 building blocks. Internal linkage ("static"), so that no other file can be given this code.
#ifndef AIR_KERNELS_AVX2_SIMD_H_
#define AIR_KERNELS_AVX2_SIMD_H_

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

// The compiler must unroll loops over register arrays, or the arrays live in memory.
#if defined(__clang__)
#define AIR_UNROLL _Pragma("unroll")
#else
#define AIR_UNROLL _Pragma("GCC unroll 16")
#endif

namespace air::avx2 {

// All bits set in lane l when l < count (any count, also negative).
static inline __m256i first_lanes(int64_t count) {
  const int32_t clamped = count >= 8 ? 8 : (count <= 0 ? 0 : static_cast<int32_t>(count));
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(clamped), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

// All bits set in lane l when bit l of `bits` is.
static inline __m256i lanes_of_bits(uint32_t bits) {
  const __m256i lane_bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i chosen = _mm256_and_si256(_mm256_set1_epi32(static_cast<int32_t>(bits)), lane_bits);
  return _mm256_cmpeq_epi32(chosen, lane_bits);
}

// 8 binary16 values.
static inline __m256 load_halves(const void* halves) {
  return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(halves)));
}

static inline __m256i load_bytes(const void* bytes) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(bytes));
}

// Four int8 values in every 32-bit lane.
static inline __m256i broadcast_quad(const int8_t* quad) {
  int32_t bits;
  memcpy(&bits, quad, sizeof bits);
  return _mm256_set1_epi32(bits);
}

// Sum of 4 products per 32-bit lane. Exact when no pair of products exceeds 16 bits: |a| <= 128, |b| <= 127.
// a is passed with its magnitude, because maddubs wants one unsigned operand.
static inline __m256i signed_dot(__m256i a, __m256i a_magnitude, __m256i b) {
  const __m256i pairs = _mm256_maddubs_epi16(a_magnitude, _mm256_sign_epi8(b, a));
  return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

// The canonical exp of air_kernels.h. min and max return their second operand for a NaN.
static inline __m256 canonical_exp(__m256 x) {
  x = _mm256_max_ps(_mm256_set1_ps(-87.3365478515625f), x);
  x = _mm256_min_ps(_mm256_set1_ps(88.3762626647949f), x);
  const __m256 scaled = _mm256_mul_ps(x, _mm256_set1_ps(1.44269504088896341f));
  const __m256 n = _mm256_round_ps(scaled, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-0.693359375f), x);
  r = _mm256_fmadd_ps(n, _mm256_set1_ps(2.12194440e-4f), r);
  __m256 p = _mm256_set1_ps(1.9875691500e-4f);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.3981999507e-3f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.3334519073e-3f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.1665795894e-2f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.6666665459e-1f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.0000001201e-1f));
  const __m256 y = _mm256_add_ps(_mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r), _mm256_set1_ps(1.0f));
  const __m256i exponent = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(y), exponent));
}

// Sums lanes 0-7 (low) and 8-15 (high) as a tree: s_l += s_{l+8}, then +4, +2, +1.
static inline float reduce_lanes(__m256 low, __m256 high) {
  const __m256 by8 = _mm256_add_ps(low, high);
  const __m128 by4 = _mm_add_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
  const __m128 by2 = _mm_add_ps(by4, _mm_movehl_ps(by4, by4));
  return _mm_cvtss_f32(_mm_add_ss(by2, _mm_movehdup_ps(by2)));
}

static inline float reduce_max(__m256 x) {
  const __m128 by4 = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 by2 = _mm_max_ps(by4, _mm_movehl_ps(by4, by4));
  return _mm_cvtss_f32(_mm_max_ss(by2, _mm_movehdup_ps(by2)));
}

static inline uint32_t reduce_max_bits(__m256i x) {
  const __m128i by4 = _mm_max_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  const __m128i by2 = _mm_max_epi32(by4, _mm_shuffle_epi32(by4, _MM_SHUFFLE(1, 0, 3, 2)));
  const __m128i by1 = _mm_max_epi32(by2, _mm_shuffle_epi32(by2, _MM_SHUFFLE(2, 3, 0, 1)));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(by1));
}

// Bit pattern of |x|: as integers these order like the floats, and a NaN beats everything.
static inline __m256i magnitude_bits(__m256 x) {
  return _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff));
}

static inline float bits_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// 32 int32 in order, each within int8, to 32 int8 in order.
static inline __m256i pack_bytes(const __m256i (&x)[4]) {
  const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(x[0], x[1]), _mm256_packs_epi32(x[2], x[3]));
  // The packs work within 128-bit halves, which leaves the quads in the order 0 2 4 6 1 3 5 7.
  return _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

}  // namespace air::avx2

#endif  // AIR_KERNELS_AVX2_SIMD_H_
