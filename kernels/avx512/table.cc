#include "kernels/avx512/ops.h"

namespace {

constexpr AirKernelTable kTable = {
    "avx512vnni",
    AIR_LAYOUT_QUADS,
    air::avx512::quantize_rows,
    {air::avx512::matmul_int4, air::avx512::matmul_int8, air::avx512::matmul_f16, air::avx512::matmul_f32},
    air::avx512::rms_norm,
    air::avx512::silu_mul,
    air::avx512::rope,
    air::avx512::kv_write,
    air::avx512::attention,
};

}  // namespace

const AirKernelTable* air_kernels_avx512vnni(void) { return &kTable; }
