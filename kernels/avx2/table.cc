#include "kernels/avx2/ops.h"

namespace {

constexpr AirKernelTable kTable = {
    "avx2",
    AIR_LAYOUT_QUADS,
    air::avx2::quantize_rows,
    {air::avx2::matmul_int4, air::avx2::matmul_int8, air::avx2::matmul_f16, air::avx2::matmul_f32},
    air::avx2::rms_norm,
    air::avx2::silu_mul,
    air::avx2::rope,
    air::avx2::kv_write,
    air::avx2::attention,
};

}  // namespace

const AirKernelTable* air_kernels_avx2(void) { return &kTable; }
