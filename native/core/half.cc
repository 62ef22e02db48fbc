#include "native/core/half.h"

#include <cstring>

namespace air {
namespace {

constexpr uint32_t kFloatInfinity = 0x7f800000;
constexpr uint32_t kHalfInfinity = 0x7c00;
// Exponent biases: 127 for binary32, 15 for binary16.
constexpr uint32_t kBiasDifference = 127 - 15;

// value / 2^shift, ties to even; 0 < shift < 32.
uint32_t shift_right_rounded(uint32_t value, uint32_t shift) {
  const uint32_t odd = (value >> shift) & 1;
  return (value + (1u << (shift - 1)) - 1 + odd) >> shift;
}

}  // namespace

float half_to_float(uint16_t half) noexcept {
  const uint32_t sign = (half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1fu;
  const uint32_t mantissa = half & 0x3ffu;
  uint32_t bits;
  if (exponent == 0x1f) {
    bits = kFloatInfinity | (mantissa << 13);
  } else if (exponent != 0) {
    bits = ((exponent + kBiasDifference) << 23) | (mantissa << 13);
  } else {
    // Zero or subnormal: mantissa units of 2^-24, which binary32 holds as a normal number.
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    std::memcpy(&bits, &magnitude, sizeof(bits));
  }
  bits |= sign;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

uint16_t float_to_half(float value) noexcept {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  const uint32_t exponent = magnitude >> 23;
  uint32_t half;
  if (magnitude > kFloatInfinity) {
    half = kHalfInfinity | 0x200u | ((magnitude >> 13) & 0x3ffu);  // 0x200 marks a quiet NaN
  } else if (exponent >= 143) {
    half = kHalfInfinity;  // 2^16 and more
  } else if (exponent > kBiasDifference) {
    // Normal. A mantissa that rounds up to 2 carries into the exponent, and from 65520 on into infinity.
    half = shift_right_rounded(magnitude - (kBiasDifference << 23), 13);
  } else if (exponent >= 102) {
    // Subnormal: the significand, implicit bit included, in units of 2^-24.
    half = shift_right_rounded((magnitude & 0x7fffffu) | 0x800000u, 126 - exponent);
  } else {
    half = 0;  // below 2^-25, half of the smallest subnormal
  }
  return static_cast<uint16_t>(sign | half);
}

float bf16_to_float(uint16_t bits) noexcept {
  const uint32_t word = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &word, sizeof(value));
  return value;
}

bool half_is_finite(uint16_t half) noexcept { return (half & kHalfInfinity) != kHalfInfinity; }

}  // namespace air
