// Packed rows back to float32, to compare with what they were packed from.
#ifndef AIR_TEST_NATIVE_SUPPORT_UNPACK_H_
#define AIR_TEST_NATIVE_SUPPORT_UNPACK_H_

#include <cstdint>

#include "kernels/include/air_formats.h"

namespace air_test {

// out: [cols]; row must be in range.
void unpack_row(const AirMatrix& matrix, int64_t row, float* out);

}  // namespace air_test

#endif  // AIR_TEST_NATIVE_SUPPORT_UNPACK_H_
