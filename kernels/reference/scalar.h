// Scalar building blocks of the reference kernels: binary16 conversion, the canonical exp, tree reduction.
// Only kernels/reference includes this file; it is compiled without ISA flags.
#ifndef AIR_KERNELS_REFERENCE_SCALAR_H_
#define AIR_KERNELS_REFERENCE_SCALAR_H_

#include <math.h>
#include <stdint.h>
#include <string.h>

namespace air::reference {

inline uint32_t float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float bits_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// IEEE binary16 to binary32, exact. A signalling NaN becomes quiet, as in hardware.
inline float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 31u;
  const uint32_t mantissa = half & 0x3ffu;
  if (exponent == 31) {
    const uint32_t quiet = mantissa != 0 ? 0x400000u : 0u;
    return bits_float(sign | 0x7f800000u | quiet | (mantissa << 13));
  }
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;  // subnormals are multiples of 2^-24
    return bits_float(sign | float_bits(magnitude));
  }
  return bits_float(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

// IEEE binary32 to binary16, round to nearest even.
inline uint16_t float_to_half(float value) {
  const uint32_t bits = float_bits(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  uint32_t half;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u | ((magnitude >> 13) & 0x1ffu);  // NaN, quiet
  } else if (magnitude >= 0x477ff000u) {
    half = 0x7c00u;  // 65520 and above round to infinity
  } else if (magnitude < 0x38800000u) {
    // Below 2^-14 the result is subnormal. The unit in the last place of 0.5f is 2^-24, the spacing of
    // binary16 subnormals, so the addition rounds to the right multiple.
    half = float_bits(bits_float(magnitude) + 0.5f) - float_bits(0.5f);
  } else {
    const uint32_t odd = (magnitude >> 13) & 1u;
    half = (magnitude - (112u << 23) + 0xfffu + odd) >> 13;
  }
  return static_cast<uint16_t>(sign | half);
}

// The index-th binary16 of a section of a tile or page.
inline float read_half(const uint8_t* section, int64_t index) {
  uint16_t half;
  memcpy(&half, section + 2 * index, sizeof half);
  return half_to_float(half);
}

inline void write_half(uint8_t* section, int64_t index, uint16_t half) {
  memcpy(section + 2 * index, &half, sizeof half);
}

// max|x| as the bit pattern of a float: integer order equals float order, and a NaN beats everything.
inline uint32_t max_magnitude_bits(const float* x, int64_t count) {
  uint32_t max_bits = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t bits = float_bits(x[i]) & 0x7fffffffu;
    if (bits > max_bits) max_bits = bits;
  }
  return max_bits;
}

// The canonical exp of air_kernels.h. A NaN comes back as it is.
inline float canonical_exp(float x) {
  if (x != x) return x;
  x = x < -87.3365478515625f ? -87.3365478515625f : x;
  x = x > 88.3762626647949f ? 88.3762626647949f : x;
  const float n = rintf(x * 1.44269504088896341f);
  float r = fmaf(n, -0.693359375f, x);
  r = fmaf(n, 2.12194440e-4f, r);
  float p = 1.9875691500e-4f;
  p = fmaf(p, r, 1.3981999507e-3f);
  p = fmaf(p, r, 8.3334519073e-3f);
  p = fmaf(p, r, 4.1665795894e-2f);
  p = fmaf(p, r, 1.6666665459e-1f);
  p = fmaf(p, r, 5.0000001201e-1f);
  const float y = fmaf(p, r * r, r) + 1.0f;
  return bits_float(float_bits(y) + (static_cast<uint32_t>(static_cast<int32_t>(n)) << 23));
}

// Sums 16 lanes as a tree: s_l += s_{l+8}, then +4, +2, +1.
inline float reduce_lanes(float* lanes) {
  for (int width = 8; width > 0; width /= 2) {
    for (int l = 0; l < width; ++l) lanes[l] += lanes[l + width];
  }
  return lanes[0];
}

}  // namespace air::reference

#endif  // AIR_KERNELS_REFERENCE_SCALAR_H_
