// NEON with the integer matmuls on the matrix multiply instructions, for CPUs that have them.
#include "kernels/neon/ops.h"
#include "kernels/neoni8mm/ops.h"

namespace {

constexpr AirKernelTable kTable = {
    "neoni8mm",
    AIR_LAYOUT_PAIRS,
    air::neon::quantize_rows,
    {air::neoni8mm::matmul_int4, air::neoni8mm::matmul_int8, air::neon::matmul_f16, air::neon::matmul_f32},
    air::neon::rms_norm,
    air::neon::silu_mul,
    air::neon::rope,
    air::neon::kv_write,
    air::neon::attention,
};

}  // namespace

const AirKernelTable* air_kernels_neoni8mm(void) { return &kTable; }
