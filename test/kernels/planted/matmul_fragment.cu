// A product whose registers of the A operand are in the wrong order.
#define AIR_PLANT_FRAGMENT
#include "kernels/cuda/matmul_decode.h"

AIR_KERNEL(256) matmul_with_wrong_fragment(air::cuda::MatmulParams p) {
  air::cuda::matmul_decode<air::cuda::Format<air::cuda::WeightFormat::kInt4>, 2, 1>(p);
}
