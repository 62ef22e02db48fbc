// How many blocks and threads a kernel is launched with. Host only.
#ifndef AIR_KERNELS_CUDA_LAUNCH_SHAPE_H_
#define AIR_KERNELS_CUDA_LAUNCH_SHAPE_H_

#include <cstdint>

namespace air::cuda {

struct LaunchShape {
  uint32_t grid_x = 1, grid_y = 1, grid_z = 1;
  uint32_t threads = 1;       // of a block, in one dimension
  uint32_t shared_bytes = 0;  // dynamic shared memory of a block
};

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_LAUNCH_SHAPE_H_
