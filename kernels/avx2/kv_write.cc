// One token's key and value into a page: quantised per token and head, or as binary16.
#include "kernels/avx2/ops.h"
#include "kernels/avx2/simd.h"
#include "kernels/shared/kv_page.h"

namespace air::avx2 {
namespace {

constexpr uint16_t kNanHalf = 0x7e00;
constexpr float kMaxHalf = 65504.0f;

// The scale of an INT4 group by its largest magnitude: binary16, negative when a positive value has it.
uint16_t int4_scale(uint32_t max_bits, bool is_positive) {
  if (max_bits >= 0x7f800000u) return kNanHalf;
  const float exact = bits_float(max_bits) / 8.0f;
  const uint16_t half = _cvtss_sh(exact > kMaxHalf ? kMaxHalf : exact, _MM_FROUND_TO_NEAREST_INT);
  return half == 0 || !is_positive ? half : static_cast<uint16_t>(half | 0x8000u);
}

struct Heads {
  // Quantises x [dims] to q [dims]; returns the scale as binary16.
  static uint16_t quantize(const float* x, int64_t dims, int8_t* q) {
    __m256i largest = _mm256_setzero_si256();
    for (int64_t d = 0; d < dims; d += 8) {
      largest = _mm256_max_epi32(largest, magnitude_bits(_mm256_loadu_ps(x + d)));
    }
    const uint32_t max_bits = reduce_max_bits(largest);
    if (max_bits >= 0x7f800000u) {
      memset(q, 0, static_cast<size_t>(dims));
      return kNanHalf;
    }
    const float exact = bits_float(max_bits) / 127.0f;
    const uint16_t half = _cvtss_sh(exact > kMaxHalf ? kMaxHalf : exact, _MM_FROUND_TO_NEAREST_INT);
    if (half == 0) {
      memset(q, 0, static_cast<size_t>(dims));
      return half;
    }
    const __m256 scale = _mm256_set1_ps(_cvtsh_ss(half));
    const __m256 limit = _mm256_set1_ps(127.0f);
    const __m256 negative_limit = _mm256_set1_ps(-127.0f);
    for (int64_t d = 0; d < dims; d += AIR_GROUP) {
      __m256i rounded[4];
      AIR_UNROLL
      for (int i = 0; i < 4; ++i) {
        // Clamping before rounding gives the same integers: the limits are integers themselves.
        const __m256 scaled = _mm256_div_ps(_mm256_loadu_ps(x + d + 8 * i), scale);
        rounded[i] = _mm256_cvtps_epi32(_mm256_max_ps(_mm256_min_ps(scaled, limit), negative_limit));
      }
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(q + d), pack_bytes(rounded));
    }
    return half;
  }

  // Quantises a group x [32] to q + 8 [32], 0 .. 15; returns the scale as binary16.
  static uint16_t quantize_group(const float* x, uint8_t* nibbles) {
    __m256i largest = _mm256_setzero_si256();
    __m256 most = _mm256_loadu_ps(x);
    for (int d = 0; d < AIR_GROUP; d += 8) {
      const __m256 values = _mm256_loadu_ps(x + d);
      largest = _mm256_max_epi32(largest, magnitude_bits(values));
      most = _mm256_max_ps(most, values);
    }
    const uint32_t max_bits = reduce_max_bits(largest);
    const uint16_t half = int4_scale(max_bits, reduce_max(most) == bits_float(max_bits));
    if (half == 0 || half == kNanHalf) {
      memset(nibbles, 8, AIR_GROUP);
      return half;
    }
    const __m256 scale = _mm256_set1_ps(_cvtsh_ss(half));
    __m256i rounded[4];
    AIR_UNROLL
    for (int i = 0; i < 4; ++i) {
      const __m256 scaled = _mm256_div_ps(_mm256_loadu_ps(x + 8 * i), scale);
      rounded[i] = _mm256_cvtps_epi32(
          _mm256_max_ps(_mm256_min_ps(scaled, _mm256_set1_ps(7.0f)), _mm256_set1_ps(-8.0f)));
    }
    const __m256i q = _mm256_add_epi8(pack_bytes(rounded), _mm256_set1_epi8(8));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(nibbles), q);
    return half;
  }

  // x: [dims] to binary16 halves [dims].
  static void convert(const float* x, int64_t dims, uint16_t* halves) {
    for (int64_t d = 0; d < dims; d += 8) {
      const __m128i half = _mm256_cvtps_ph(_mm256_loadu_ps(x + d), _MM_FROUND_TO_NEAREST_INT);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(halves + d), half);
    }
  }
};

}  // namespace

void kv_write(const AirKvLayout* layout, uint8_t* member, int64_t offset, const float* key,
              const float* value) {
  write_token<Heads>(layout, member, offset, key, value);
}

}  // namespace air::avx2
