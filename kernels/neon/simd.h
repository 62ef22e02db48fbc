// NEON building blocks. Internal linkage ("static"), so that no other file can be given this code.
#ifndef AIR_KERNELS_NEON_SIMD_H_
#define AIR_KERNELS_NEON_SIMD_H_

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

// The compiler must unroll loops over register arrays, or the arrays live in memory.
#if defined(__clang__)
#define AIR_UNROLL _Pragma("unroll")
#else
#define AIR_UNROLL _Pragma("GCC unroll 16")
#endif

namespace air::neon {

// The first `count` of 4 lanes, the others zero (any count, also negative).
static inline float32x4_t load_lanes(const float* x, int64_t count) {
  if (count >= 4) return vld1q_f32(x);
  float lanes[4] = {};
  if (count > 0) memcpy(lanes, x, sizeof(float) * static_cast<size_t>(count));
  return vld1q_f32(lanes);
}

static inline void store_lanes(float* y, int64_t count, float32x4_t x) {
  if (count >= 4) {
    vst1q_f32(y, x);
    return;
  }
  float lanes[4];
  vst1q_f32(lanes, x);
  if (count > 0) memcpy(y, lanes, sizeof(float) * static_cast<size_t>(count));
}

// All bits set in lane l when bit l of `bits` is.
static inline uint32x4_t lanes_of_bits(uint32_t bits) {
  static const uint32_t kLaneBits[4] = {1, 2, 4, 8};
  return vtstq_u32(vdupq_n_u32(bits), vld1q_u32(kLaneBits));
}

// 4 kQuads binary16 values, kQuads even.
template <int kQuads>
static inline void load_halves(const void* halves, float32x4_t (&out)[kQuads]) {
  static_assert(kQuads % 2 == 0, "halves are loaded 8 at a time");
  AIR_UNROLL
  for (int i = 0; i < kQuads; i += 2) {
    const uint16x8_t bits = vld1q_u16(static_cast<const uint16_t*>(halves) + 4 * i);
    out[i] = vcvt_f32_f16(vreinterpret_f16_u16(vget_low_u16(bits)));
    out[i + 1] = vcvt_high_f32_f16(vreinterpretq_f16_u16(bits));
  }
}

static inline int8x16_t load_bytes(const void* bytes) { return vld1q_s8(static_cast<const int8_t*>(bytes)); }

// dot + products over 16 k: lane l of rows[j] holds k = 4 j .. 4 j + 3 of row l; x holds k = 0 .. 15.
static inline int32x4_t add_dot16(const int8x16_t* rows, int8x16_t x, int32x4_t dot) {
  dot = vdotq_laneq_s32(dot, rows[0], x, 0);
  dot = vdotq_laneq_s32(dot, rows[1], x, 1);
  dot = vdotq_laneq_s32(dot, rows[2], x, 2);
  return vdotq_laneq_s32(dot, rows[3], x, 3);
}

// dot[q] += products over 4 k, for up to 4 x: lane l of rows holds k = 0 .. 3 of row l; x holds 4 k of each.
template <int kCount>
static inline void add_dots(int8x16_t rows, int8x16_t x, int32x4_t (&dot)[kCount]) {
  static_assert(kCount <= 4, "a register holds 4 quads");
  dot[0] = vdotq_laneq_s32(dot[0], rows, x, 0);
  if constexpr (kCount > 1) dot[1] = vdotq_laneq_s32(dot[1], rows, x, 1);
  if constexpr (kCount > 2) dot[2] = vdotq_laneq_s32(dot[2], rows, x, 2);
  if constexpr (kCount > 3) dot[3] = vdotq_laneq_s32(dot[3], rows, x, 3);
}

// The canonical exp of air_kernels.h. min and max return a NaN for a NaN.
static inline float32x4_t canonical_exp(float32x4_t x) {
  x = vmaxq_f32(x, vdupq_n_f32(-87.3365478515625f));
  x = vminq_f32(x, vdupq_n_f32(88.3762626647949f));
  const float32x4_t n = vrndnq_f32(vmulq_f32(x, vdupq_n_f32(1.44269504088896341f)));
  float32x4_t r = vfmaq_f32(x, n, vdupq_n_f32(-0.693359375f));
  r = vfmaq_f32(r, n, vdupq_n_f32(2.12194440e-4f));
  float32x4_t p = vdupq_n_f32(1.9875691500e-4f);
  p = vfmaq_f32(vdupq_n_f32(1.3981999507e-3f), p, r);
  p = vfmaq_f32(vdupq_n_f32(8.3334519073e-3f), p, r);
  p = vfmaq_f32(vdupq_n_f32(4.1665795894e-2f), p, r);
  p = vfmaq_f32(vdupq_n_f32(1.6666665459e-1f), p, r);
  p = vfmaq_f32(vdupq_n_f32(5.0000001201e-1f), p, r);
  const float32x4_t y = vaddq_f32(vfmaq_f32(r, p, vmulq_f32(r, r)), vdupq_n_f32(1.0f));
  const int32x4_t exponent = vshlq_n_s32(vcvtnq_s32_f32(n), 23);
  return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(y), exponent));
}

// Sums 16 lanes, four registers in order, as a tree: s_l += s_{l+8}, then +4, +2, +1.
static inline float reduce_lanes(const float32x4_t (&lanes)[4]) {
  const float32x4_t by4 = vaddq_f32(vaddq_f32(lanes[0], lanes[2]), vaddq_f32(lanes[1], lanes[3]));
  const float32x2_t by2 = vadd_f32(vget_low_f32(by4), vget_high_f32(by4));
  return vget_lane_f32(by2, 0) + vget_lane_f32(by2, 1);
}

// Bit pattern of |x|: as integers these order like the floats, and a NaN beats everything.
static inline uint32x4_t magnitude_bits(float32x4_t x) { return vreinterpretq_u32_f32(vabsq_f32(x)); }

static inline float bits_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// 16 int32 in order, each within int8, to 16 int8 in order.
static inline int8x16_t pack_bytes(const int32x4_t (&x)[4]) {
  const int16x8_t low = vuzp1q_s16(vreinterpretq_s16_s32(x[0]), vreinterpretq_s16_s32(x[1]));
  const int16x8_t high = vuzp1q_s16(vreinterpretq_s16_s32(x[2]), vreinterpretq_s16_s32(x[3]));
  return vuzp1q_s8(vreinterpretq_s8_s16(low), vreinterpretq_s8_s16(high));
}

}  // namespace air::neon

#endif  // AIR_KERNELS_NEON_SIMD_H_
