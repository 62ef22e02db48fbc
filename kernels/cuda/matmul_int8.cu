// Matrix products of int8 weights, with one scale per 32 k, a scale and a min, or a scale per 16 k.
// Equation, shapes and order of sums: matmul_decode.h, matmul_prefill.h; formats and alignment: matmul_params.h.
#include "kernels/cuda/matmul_kernels.h"

AIR_MATMUL_KERNELS(int8, air::cuda::WeightFormat::kInt8)
AIR_MATMUL_KERNELS(int8_min, air::cuda::WeightFormat::kInt8Min)
AIR_MATMUL_KERNELS(int8_group16, air::cuda::WeightFormat::kInt8Group16)
