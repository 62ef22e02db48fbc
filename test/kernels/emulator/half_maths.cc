// Binary16 arithmetic as the GPU does it: one rounding to nearest even, NaN results are 0x7fff.
#include <cmath>
#include <cstring>

#include "native/core/half.h"
#include "test/kernels/emulator/device_calls.h"

namespace air::emulator {

namespace {

// Rounds the exact value + error (the rest that value lost) to a float, to odd: what was lost stays as the last bit,
// so that a second rounding to fewer bits comes out as if it were the only one.
float round_to_odd(double value, double error) {
  if (!std::isfinite(value)) return static_cast<float>(value);
  if (error != 0) {
    int64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    if ((bits & 1) == 0) bits += (error > 0) == (value > 0) ? 1 : -1;
    std::memcpy(&value, &bits, sizeof value);
  }
  float nearest = static_cast<float>(value);
  if (static_cast<double>(nearest) == value) return nearest;
  if (std::fabs(static_cast<double>(nearest)) > std::fabs(value)) nearest = std::nextafterf(nearest, 0.0f);
  int32_t bits;
  std::memcpy(&bits, &nearest, sizeof bits);
  bits |= 1;
  std::memcpy(&nearest, &bits, sizeof nearest);
  return nearest;
}

uint16_t fma_half(uint16_t a, uint16_t b, uint16_t c) {
  const double product = static_cast<double>(half_to_float(a)) * static_cast<double>(half_to_float(b));
  const double addend = half_to_float(c);
  const double sum = product + addend;
  // The part of the exact sum that the double lost (Knuth's two-sum).
  const double product_part = sum - addend;
  const double error = (product - product_part) + (addend - (sum - product_part));
  return float_to_half(round_to_odd(sum, std::isfinite(sum) ? error : 0));
}

}  // namespace

float half_to_float(uint16_t half) { return air::half_to_float(half); }

uint16_t float_to_half(float value) { return std::isnan(value) ? 0x7fff : air::float_to_half(value); }

uint32_t halves_mul(uint32_t a, uint32_t b) {
  uint32_t result = 0;
  for (int shift = 0; shift < 32; shift += 16) {
    // 11 by 11 bits: exact in float32 but for subnormal products, which a double holds as well.
    const double product = static_cast<double>(half_to_float(static_cast<uint16_t>(a >> shift))) *
                           static_cast<double>(half_to_float(static_cast<uint16_t>(b >> shift)));
    result |= static_cast<uint32_t>(float_to_half(round_to_odd(product, 0))) << shift;
  }
  return result;
}

uint32_t halves_fma(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t result = 0;
  for (int shift = 0; shift < 32; shift += 16) {
    result |=
        static_cast<uint32_t>(fma_half(static_cast<uint16_t>(a >> shift), static_cast<uint16_t>(b >> shift),
                                       static_cast<uint16_t>(c >> shift)))
        << shift;
  }
  return result;
}

}  // namespace air::emulator
