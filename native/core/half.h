// IEEE binary16 (and bfloat16) as bit patterns, converted without the F16C or FP16 instructions that a
// baseline build may not use. The results depend neither on the CPU nor on its rounding mode.
#ifndef AIR_CORE_HALF_H_
#define AIR_CORE_HALF_H_

#include <cstdint>

namespace air {

// Exact; infinities, NaN payloads and the sign of zero are kept.
float half_to_float(uint16_t half) noexcept;

// Rounds to nearest, ties to even. Magnitudes of 65520 and more become infinity, NaN becomes a quiet NaN.
uint16_t float_to_half(float value) noexcept;

// bfloat16 is the upper half of a float32: exact.
float bf16_to_float(uint16_t bits) noexcept;

// Neither infinite nor NaN.
bool half_is_finite(uint16_t half) noexcept;

}  // namespace air

#endif  // AIR_CORE_HALF_H_
