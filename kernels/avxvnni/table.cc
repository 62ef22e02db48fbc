// AVX2 with the integer matmuls on AVX-VNNI: for CPUs that have this but not AVX-512.
#include "kernels/avx2/ops.h"
#include "kernels/avxvnni/ops.h"

namespace {

constexpr AirKernelTable kTable = {
    "avxvnni",
    AIR_LAYOUT_QUADS,
    air::avx2::quantize_rows,
    {air::avxvnni::matmul_int4, air::avxvnni::matmul_int8, air::avx2::matmul_f16, air::avx2::matmul_f32},
    air::avx2::rms_norm,
    air::avx2::silu_mul,
    air::avx2::rope,
    air::avx2::kv_write,
    air::avx2::attention,
};

}  // namespace

const AirKernelTable* air_kernels_avxvnni(void) { return &kTable; }
