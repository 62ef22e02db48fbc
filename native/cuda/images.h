// The compiled kernels that this build carries: cmake/cuda.cmake makes the table from kernels/cuda/*.cu.
#ifndef AIR_CUDA_IMAGES_H_
#define AIR_CUDA_IMAGES_H_

#include <cstdint>
#include <string>
#include <vector>

namespace air::cuda {

// One .cu file.
struct KernelImage {
  const char* name;  // "rms_norm"
  // SASS of every target, as nvcc's fat binary.
  const uint8_t* fatbin;
  int64_t fatbin_bytes;
  // PTX ISA 7.4 for compute_80, ending in a zero: for drivers that refuse the SASS, or devices newer than its targets.
  const char* ptx;
};

// Empty in a build without kernels.
std::vector<KernelImage> kernel_images();

// Compute capabilities that a fat binary holds SASS for, in its order. Empty when it is none.
std::vector<int> fatbin_targets(const uint8_t* fatbin, int64_t bytes);

}  // namespace air::cuda

#endif  // AIR_CUDA_IMAGES_H_
