// A product that reads a chunk before its copy has arrived.
#define AIR_PLANT_WAIT
#include "kernels/cuda/matmul_decode.h"

AIR_KERNEL(256) matmul_without_wait(air::cuda::MatmulParams p) {
  air::cuda::matmul_decode<air::cuda::Format<air::cuda::WeightFormat::kInt4>, 2, 1>(p);
}
