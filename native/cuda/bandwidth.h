// How fast a device reads its memory: the bound of decoding, which reads every weight once per step.
#ifndef AIR_CUDA_BANDWIDTH_H_
#define AIR_CUDA_BANDWIDTH_H_

#include <cstdint>
#include <memory>

#include "native/core/status.h"
#include "native/cuda/module.h"

namespace air::cuda {

// Reads `bytes` (a multiple of 16, far more than the device's caches hold) several times; the best pass counts. In units
// of 1e9 bytes per second. The memory is freed before returning.
Status measure_device_bandwidth(std::shared_ptr<const Kernels> kernels, int64_t bytes,
                                double* gigabytes_per_second);

}  // namespace air::cuda

#endif  // AIR_CUDA_BANDWIDTH_H_
