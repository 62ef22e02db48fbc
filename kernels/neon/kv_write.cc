// One token's key and value into a page: quantised per token and head, or as binary16.
#include "kernels/neon/ops.h"
#include "kernels/neon/simd.h"
#include "kernels/shared/kv_page.h"

namespace air::neon {
namespace {

constexpr uint16_t kNanHalf = 0x7e00;
constexpr float kMaxHalf = 65504.0f;

// 4 binary16 values, rounded to nearest even.
inline uint16x4_t to_halves(float32x4_t x) { return vreinterpret_u16_f16(vcvt_f16_f32(x)); }

struct Heads {
  // Quantises x [dims] to q [dims]; returns the scale as binary16.
  static uint16_t quantize(const float* x, int64_t dims, int8_t* q) {
    uint32x4_t largest = vdupq_n_u32(0);
    for (int64_t d = 0; d < dims; d += 4) largest = vmaxq_u32(largest, magnitude_bits(vld1q_f32(x + d)));
    const uint32_t max_bits = vmaxvq_u32(largest);
    if (max_bits >= 0x7f800000u) {
      memset(q, 0, static_cast<size_t>(dims));
      return kNanHalf;
    }
    const float exact = bits_float(max_bits) / 127.0f;
    const uint16x4_t halves = to_halves(vdupq_n_f32(exact > kMaxHalf ? kMaxHalf : exact));
    const uint16_t half = vget_lane_u16(halves, 0);
    if (half == 0) {
      memset(q, 0, static_cast<size_t>(dims));
      return half;
    }
    const float32x4_t scale = vcvt_f32_f16(vreinterpret_f16_u16(halves));
    for (int64_t d = 0; d < dims; d += 16) {
      int32x4_t rounded[4];
      AIR_UNROLL
      for (int i = 0; i < 4; ++i) {
        // Clamping before rounding gives the same integers: the limits are integers themselves.
        const float32x4_t scaled = vdivq_f32(vld1q_f32(x + d + 4 * i), scale);
        const float32x4_t clamped = vmaxq_f32(vminq_f32(scaled, vdupq_n_f32(127.0f)), vdupq_n_f32(-127.0f));
        rounded[i] = vcvtnq_s32_f32(clamped);
      }
      vst1q_s8(q + d, pack_bytes(rounded));
    }
    return half;
  }

  // Quantises a group x [32] to q + 8 [32], 0 .. 15; returns the scale as binary16.
  static uint16_t quantize_group(const float* x, uint8_t* nibbles) {
    uint32x4_t largest = vdupq_n_u32(0);
    float32x4_t most = vld1q_f32(x);
    for (int d = 0; d < AIR_GROUP; d += 4) {
      const float32x4_t values = vld1q_f32(x + d);
      largest = vmaxq_u32(largest, magnitude_bits(values));
      most = vmaxq_f32(most, values);
    }
    const uint32_t max_bits = vmaxvq_u32(largest);
    memset(nibbles, 8, AIR_GROUP);
    if (max_bits >= 0x7f800000u) return kNanHalf;
    const float amax = bits_float(max_bits);
    const float exact = amax / 8.0f;
    const uint16x4_t halves = to_halves(vdupq_n_f32(exact > kMaxHalf ? kMaxHalf : exact));
    const uint16_t magnitude = vget_lane_u16(halves, 0);
    if (magnitude == 0) return 0;
    // The largest magnitude becomes -8, whatever its sign.
    const bool is_positive = vmaxvq_f32(most) == amax;
    const uint16_t half = static_cast<uint16_t>(magnitude | (is_positive ? 0x8000u : 0u));
    const float32x4_t scale = vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(half)));
    for (int d = 0; d < AIR_GROUP; d += 16) {
      int32x4_t rounded[4];
      AIR_UNROLL
      for (int i = 0; i < 4; ++i) {
        const float32x4_t scaled = vdivq_f32(vld1q_f32(x + d + 4 * i), scale);
        rounded[i] = vcvtnq_s32_f32(vmaxq_f32(vminq_f32(scaled, vdupq_n_f32(7.0f)), vdupq_n_f32(-8.0f)));
      }
      vst1q_u8(nibbles + d, vreinterpretq_u8_s8(vaddq_s8(pack_bytes(rounded), vdupq_n_s8(8))));
    }
    return half;
  }

  // x: [dims] to binary16 halves [dims].
  static void convert(const float* x, int64_t dims, uint16_t* halves) {
    for (int64_t d = 0; d < dims; d += 4) vst1_u16(halves + d, to_halves(vld1q_f32(x + d)));
  }
};

}  // namespace

void kv_write(const AirKvLayout* layout, uint8_t* member, int64_t offset, const float* key,
              const float* value) {
  write_token<Heads>(layout, member, offset, key, value);
}

}  // namespace air::neon
