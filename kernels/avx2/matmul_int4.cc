// y = W x for 4-bit weights in groups of 32 against int8 activations. Lanes are outputs of a tile.
#include "kernels/avx2/dot.h"
#include "kernels/avx2/int4.h"
#include "kernels/avx2/ops.h"

namespace air::avx2 {

void matmul_int4(const AirMatmulArgs* args) { multiply_int4<NibbleDot>(args); }

}  // namespace air::avx2
