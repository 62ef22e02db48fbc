// The kernels of one format, by name.
#ifndef AIR_KERNELS_CUDA_MATMUL_KERNELS_H_
#define AIR_KERNELS_CUDA_MATMUL_KERNELS_H_

#include "kernels/cuda/matmul_decode.h"
#include "kernels/cuda/matmul_prefill.h"

// With m_tiles x n_tiles of kDecodeShapes (kernels/cuda/launch/matmul.cc). Saying how many blocks share a
// multiprocessor keeps the compiler from spilling for the sake of more.
#define AIR_MATMUL_DECODE(name, format, m_tiles, n_tiles, blocks)               \
  AIR_KERNEL_RESIDENT(256, blocks)                                              \
  air_matmul_##name##_decode_##m_tiles##x##n_tiles(air::cuda::MatmulParams p) { \
    air::cuda::matmul_decode<air::cuda::Format<format>, m_tiles, n_tiles>(p);   \
  }

#define AIR_MATMUL_KERNELS(name, format)                                               \
  AIR_MATMUL_DECODE(name, format, 1, 1, 2)                                             \
  AIR_MATMUL_DECODE(name, format, 2, 1, 2)                                             \
  AIR_MATMUL_DECODE(name, format, 4, 1, 2)                                             \
  AIR_MATMUL_DECODE(name, format, 2, 2, 2)                                             \
  AIR_MATMUL_DECODE(name, format, 2, 4, 1)                                             \
  AIR_KERNEL_RESIDENT(256, 1) air_matmul_##name##_prefill(air::cuda::MatmulParams p) { \
    air::cuda::matmul_prefill<air::cuda::Format<format>>(p);                           \
  }

#endif  // AIR_KERNELS_CUDA_MATMUL_KERNELS_H_
