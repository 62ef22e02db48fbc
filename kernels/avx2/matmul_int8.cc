// y = W x for 8-bit weights, scaled per 32 or 16 values, against int8 activations. Lanes are outputs.
#include "kernels/avx2/dot.h"
#include "kernels/avx2/int8.h"
#include "kernels/avx2/ops.h"

namespace air::avx2 {

void matmul_int8(const AirMatmulArgs* args) { multiply_int8<ByteDot>(args); }

}  // namespace air::avx2
