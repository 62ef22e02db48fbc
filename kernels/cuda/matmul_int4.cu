// Matrix products of int4 weights: y (=|+=) W x + bias, or SwiGLU of paired weights.
// Equation, shapes and order of sums: matmul_decode.h, matmul_prefill.h; formats and alignment: matmul_params.h.
// Names: air_matmul_FORMAT_decode_TILESxROWTILES, air_matmul_FORMAT_prefill (kernels/cuda/launch/matmul.h chooses).
#include "kernels/cuda/matmul_kernels.h"

AIR_MATMUL_KERNELS(int4, air::cuda::WeightFormat::kInt4)
AIR_MATMUL_KERNELS(int4_min, air::cuda::WeightFormat::kInt4Min)
