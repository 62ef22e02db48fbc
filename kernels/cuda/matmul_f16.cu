// Matrix products of float16 weights.
// Equation, shapes and order of sums: matmul_decode.h, matmul_prefill.h; formats and alignment: matmul_params.h.
#include "kernels/cuda/matmul_kernels.h"

AIR_MATMUL_KERNELS(f16, air::cuda::WeightFormat::kF16)
