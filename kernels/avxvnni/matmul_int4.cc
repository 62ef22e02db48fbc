// y = W x for 4-bit weights in groups of 32 against int8 activations. Lanes are outputs of a tile.
#include "kernels/avx2/int4.h"
#include "kernels/avxvnni/dot.h"
#include "kernels/avxvnni/ops.h"

namespace air::avxvnni {

void matmul_int4(const AirMatmulArgs* args) { avx2::multiply_int4<NibbleDot>(args); }

}  // namespace air::avxvnni
