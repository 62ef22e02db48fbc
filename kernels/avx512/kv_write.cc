// One token's key and value into a page: quantised per token and head, or as binary16.
#include "kernels/avx512/ops.h"
#include "kernels/avx512/simd.h"
#include "kernels/shared/kv_page.h"

namespace air::avx512 {
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
    __m512i largest = _mm512_setzero_si512();
    for (int64_t d = 0; d < dims; d += 16) {
      largest = _mm512_max_epi32(largest, magnitude_bits(_mm512_loadu_ps(x + d)));
    }
    const uint32_t max_bits = static_cast<uint32_t>(_mm512_reduce_max_epi32(largest));
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
    const __m512 scale = _mm512_set1_ps(_cvtsh_ss(half));
    const __m512 limit = _mm512_set1_ps(127.0f);
    const __m512 negative_limit = _mm512_set1_ps(-127.0f);
    for (int64_t d = 0; d < dims; d += 16) {
      // Clamping before rounding gives the same integers: the limits are integers themselves.
      const __m512 scaled = _mm512_div_ps(_mm512_loadu_ps(x + d), scale);
      const __m512 clamped = _mm512_max_ps(_mm512_min_ps(scaled, limit), negative_limit);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(q + d), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(clamped)));
    }
    return half;
  }

  // Quantises a group x [32] to q + 8 [32], 0 .. 15; returns the scale as binary16.
  static uint16_t quantize_group(const float* x, uint8_t* nibbles) {
    const __m512 low = _mm512_loadu_ps(x), high = _mm512_loadu_ps(x + 16);
    const __m512i largest = _mm512_max_epi32(magnitude_bits(low), magnitude_bits(high));
    const uint32_t max_bits = static_cast<uint32_t>(_mm512_reduce_max_epi32(largest));
    const float amax = bits_float(max_bits);
    const uint16_t half = int4_scale(max_bits, _mm512_reduce_max_ps(_mm512_max_ps(low, high)) == amax);
    if (half == 0 || half == kNanHalf) {
      memset(nibbles, 8, AIR_GROUP);
      return half;
    }
    const __m512 scale = _mm512_set1_ps(_cvtsh_ss(half));
    const auto quantize_16 = [&](__m512 values, uint8_t* to) {
      const __m512 clamped = _mm512_max_ps(_mm512_min_ps(_mm512_div_ps(values, scale), _mm512_set1_ps(7.0f)),
                                           _mm512_set1_ps(-8.0f));
      const __m512i q = _mm512_add_epi32(_mm512_cvtps_epi32(clamped), _mm512_set1_epi32(8));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(q));
    };
    quantize_16(low, nibbles);
    quantize_16(high, nibbles + 16);
    return half;
  }

  // x: [dims] to binary16 halves [dims].
  static void convert(const float* x, int64_t dims, uint16_t* halves) {
    for (int64_t d = 0; d < dims; d += 16) {
      const __m256i half =
          _mm512_cvtps_ph(_mm512_loadu_ps(x + d), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(halves + d), half);
    }
  }
};

}  // namespace

void kv_write(const AirKvLayout* layout, uint8_t* member, int64_t offset, const float* key,
              const float* value) {
  write_token<Heads>(layout, member, offset, key, value);
}

}  // namespace air::avx512
