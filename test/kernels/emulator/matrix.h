// Matrix instructions of a warp, all 32 lanes present.
#ifndef AIR_TEST_KERNELS_EMULATOR_MATRIX_H_
#define AIR_TEST_KERNELS_EMULATOR_MATRIX_H_

#include "test/kernels/emulator/device_calls.h"

namespace air::emulator {

// lanes: [32]
void load_matrices(WarpStep* const* lanes);
void multiply_half(WarpStep* const* lanes);
void multiply_int8(WarpStep* const* lanes);

}  // namespace air::emulator

#endif  // AIR_TEST_KERNELS_EMULATOR_MATRIX_H_
