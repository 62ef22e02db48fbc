#include "kernels/reference/ops.h"

namespace {

constexpr AirKernelTable kTable = {
    "reference",
    AIR_LAYOUT_QUADS,
    air::reference::quantize_rows,
    {air::reference::matmul_int4, air::reference::matmul_int8, air::reference::matmul_f16,
     air::reference::matmul_f32},
    air::reference::rms_norm,
    air::reference::silu_mul,
    air::reference::rope,
    air::reference::kv_write,
    air::reference::attention,
};

}  // namespace

const AirKernelTable* air_kernels_reference(void) { return &kTable; }
