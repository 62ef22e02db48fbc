// A product whose lanes do not wait for each other.
#define AIR_PLANT_WARP_BARRIER
#include "kernels/cuda/matmul_decode.h"

AIR_KERNEL(256) matmul_without_warp_barrier(air::cuda::MatmulParams p) {
  air::cuda::matmul_decode<air::cuda::Format<air::cuda::WeightFormat::kInt4>, 2, 1>(p);
}
