// Parameters of the kernels that measure what a device can do (ceilings.cu).
#ifndef AIR_KERNELS_CUDA_CEILINGS_PARAMS_H_
#define AIR_KERNELS_CUDA_CEILINGS_PARAMS_H_

#include <stdint.h>

namespace air::cuda {

constexpr int32_t kCeilingThreads = 256;
// Independent chains of matrix instructions per warp.
constexpr int32_t kCeilingChains = 8;

struct ReadCeilingParams {
  const uint8_t* data;  // 16-byte aligned
  int64_t bytes;        // a multiple of 16
  uint32_t* sums;       // [threads of the grid] exclusive or of the words that the thread read
};

struct MatrixCeilingParams {
  int32_t steps;  // of each chain
  float* sums;    // [threads of the grid]
};

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_CEILINGS_PARAMS_H_
