#include "native/core/half.h"

#include <cmath>
#include <cstring>

#include "test/native/check.h"

namespace {

float float_from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// The definition of binary16, in double precision; finite patterns only.
double exact_half(uint32_t half) {
  const int exponent = static_cast<int>(half >> 10 & 0x1f);
  const int mantissa = static_cast<int>(half & 0x3ff);
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return half & 0x8000 ? -magnitude : magnitude;
}

}  // namespace

TEST(half_to_float_gives_every_finite_half_its_exact_value_and_sign) {
  int bad = 0;
  for (uint32_t half = 0; half < 65536; ++half) {
    if ((half & 0x7c00) == 0x7c00) continue;
    const float value = air::half_to_float(static_cast<uint16_t>(half));
    bad += value != exact_half(half) || std::signbit(value) != ((half & 0x8000) != 0);
  }
  CHECK_EQ(bad, 0);
}

TEST(half_survives_the_way_to_float_and_back) {
  int bad = 0;
  for (uint32_t half = 0; half < 65536; ++half) {
    const bool is_nan = (half & 0x7fff) > 0x7c00;
    const uint32_t expected = is_nan ? half | 0x200 : half;  // NaN becomes quiet, its payload stays
    bad += air::float_to_half(air::half_to_float(static_cast<uint16_t>(half))) != expected;
  }
  CHECK_EQ(bad, 0);
}

TEST(half_infinities_and_nan_are_recognised) {
  CHECK_EQ(air::half_to_float(0x7c00), INFINITY);
  CHECK_EQ(air::half_to_float(0xfc00), -INFINITY);
  CHECK(std::isnan(air::half_to_float(0x7c01)));
  int bad = 0;
  for (uint32_t half = 0; half < 65536; ++half) {
    const auto bits = static_cast<uint16_t>(half);
    bad += air::half_is_finite(bits) != std::isfinite(air::half_to_float(bits));
  }
  CHECK_EQ(bad, 0);
}

// Between every two neighbours: the midpoint goes to the even one, its float neighbours to the nearer one.
TEST(float_to_half_rounds_to_nearest_even_between_all_neighbours) {
  int bad = 0;
  for (uint32_t half = 0; half < 0x7bff; ++half) {
    const auto middle = static_cast<float>((exact_half(half) + exact_half(half + 1)) / 2);  // exact: 12 bits
    const uint32_t even = half % 2 == 0 ? half : half + 1;
    for (const uint32_t sign : {0u, 0x8000u}) {
      const float side = sign ? -1.0f : 1.0f;
      bad += air::float_to_half(side * middle) != (even | sign);
      bad += air::float_to_half(side * std::nextafterf(middle, 0.0f)) != (half | sign);
      bad += air::float_to_half(side * std::nextafterf(middle, INFINITY)) != ((half + 1) | sign);
    }
  }
  CHECK_EQ(bad, 0);
}

TEST(float_to_half_handles_the_ends_of_the_range) {
  CHECK_EQ(air::float_to_half(65504.0f), 0x7bff);
  CHECK_EQ(air::float_to_half(std::nextafterf(65520.0f, 0.0f)), 0x7bff);
  CHECK_EQ(air::float_to_half(65520.0f), 0x7c00);
  CHECK_EQ(air::float_to_half(3.0e38f), 0x7c00);
  CHECK_EQ(air::float_to_half(-INFINITY), 0xfc00);
  CHECK_EQ(air::float_to_half(0x1p-25f), 0);  // half of the smallest subnormal: ties to even
  CHECK_EQ(air::float_to_half(std::nextafterf(0x1p-25f, 1.0f)), 1);
  CHECK_EQ(air::float_to_half(1.0e-40f), 0);
  CHECK_EQ(air::float_to_half(-0.0f), 0x8000);
  CHECK((air::float_to_half(float_from_bits(0x7f800001)) & 0x7fff) >
        0x7c00);  // a NaN whose payload is cut off
}
