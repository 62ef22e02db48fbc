// y = W x for 8-bit weights, scaled per 32 or 16 values, against int8 activations. Lanes are outputs.
#include "kernels/avx2/int8.h"
#include "kernels/avxvnni/dot.h"
#include "kernels/avxvnni/ops.h"

namespace air::avxvnni {

void matmul_int8(const AirMatmulArgs* args) { avx2::multiply_int8<ByteDot>(args); }

}  // namespace air::avxvnni
