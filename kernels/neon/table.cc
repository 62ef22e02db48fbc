#include "kernels/neon/ops.h"

namespace {

constexpr AirKernelTable kTable = {
    "neon",
    AIR_LAYOUT_QUADS,
    air::neon::quantize_rows,
    {air::neon::matmul_int4, air::neon::matmul_int8, air::neon::matmul_f16, air::neon::matmul_f32},
    air::neon::rms_norm,
    air::neon::silu_mul,
    air::neon::rope,
    air::neon::kv_write,
    air::neon::attention,
};

}  // namespace

const AirKernelTable* air_kernels_neon(void) { return &kTable; }
