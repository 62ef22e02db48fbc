// Which matmul kernel computes a product on a device, and in what shape. Host only.
//
// All choices give the same bits (kernels/cuda/matmul_params.h), so that this is about time alone.
#ifndef AIR_KERNELS_CUDA_LAUNCH_MATMUL_H_
#define AIR_KERNELS_CUDA_LAUNCH_MATMUL_H_

#include <cstdint>

#include "kernels/cuda/launch/shape.h"
#include "kernels/cuda/matmul_shapes.h"

namespace air::cuda {

// What the choice depends on. The defaults are AGX Orin's (sm_87).
struct MatmulDevice {
  int32_t multiprocessors = 16;
  int32_t shared_bytes_per_block = 163 * 1024;  // the largest that a kernel can opt into
  int32_t shared_bytes_per_multiprocessor = 164 * 1024;
};

// The kernels of a format, in the order of matmul_kernel_name.
enum class MatmulKernel : int32_t {
  kDecode1x1,  // tiles of 16 outputs per warp x tiles of 8 rows
  kDecode2x1,
  kDecode4x1,
  kDecode2x2,
  kDecode2x4,
  kPrefill,
  kFloat32,
};
constexpr int kMatmulKernels = 7;

struct MatmulLaunch {
  MatmulKernel kernel = MatmulKernel::kFloat32;
  int32_t stages = kMinStages;  // for MatmulParams
  LaunchShape shape;
};

// The launch for up to `rows` rows of x (a bucket) and a matrix of so many tiles of 16 outputs.
MatmulLaunch choose_matmul(WeightFormat format, int32_t tiles, int32_t cols, int32_t rows,
                           const MatmulDevice& device);

// The launch of a kernel that the caller picked, with as many stages as the device has room for. stages == 0 in the
// result: it does not fit the device, or the format has no such kernel.
MatmulLaunch shape_matmul(MatmulKernel kernel, WeightFormat format, int32_t tiles, int32_t cols, int32_t rows,
                          const MatmulDevice& device);

// As in the module; null when the format has no such kernel.
const char* matmul_kernel_name(WeightFormat format, MatmulKernel kernel) noexcept;

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_LAUNCH_MATMUL_H_
