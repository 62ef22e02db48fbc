// Everything of the GPU that kernels use, so that one source compiles with nvcc and, as plain C++ with AIR_EMULATOR
// defined, for the emulator of test/kernels/emulator. Kernels name no built-in of CUDA themselves.
//
// Kernels are  AIR_KERNEL(max_threads) name(parameters) { .. }  with C linkage, plain pointers, integers and floats
// (or one struct by value) as parameters. Shared memory is shared_memory(), the size is the launch's.
// Every float operation rounds once: fma is written fmaf, and nvcc compiles with -fmad=false.
//
//   device_gpu.h       the wrappers by PTX instructions, none newer than PTX ISA 7.4 on sm_80
//   device_emulator.h  the same wrappers as fibers and checks
//   this file          arithmetic that both share
#ifndef AIR_KERNELS_CUDA_DEVICE_H_
#define AIR_KERNELS_CUDA_DEVICE_H_

#include <stdint.h>

#ifdef AIR_EMULATOR
#include "test/kernels/emulator/device_emulator.h"
#else
#include "kernels/cuda/device_gpu.h"
#endif

namespace air::cuda {

constexpr uint32_t kWarp = 32;
constexpr uint32_t kAllLanes = 0xffffffffu;

AIR_DEVICE uint32_t lane_id() { return thread_id() % kWarp; }

AIR_DEVICE uint32_t warp_id() { return thread_id() / kWarp; }

AIR_DEVICE float bits_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

AIR_DEVICE uint32_t float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// To binary16, round to nearest even; beyond +-65504 (infinities too) it is +-65504. A NaN stays one.
AIR_DEVICE uint16_t float_to_half_saturated(float value) {
  value = value > 65504.0f ? 65504.0f : value;
  value = value < -65504.0f ? -65504.0f : value;
  return float_to_half(value);
}

// The canonical exp of air_kernels.h. A NaN comes back as it is.
AIR_DEVICE float canonical_exp(float x) {
  if (x != x) return x;
  x = x < -87.3365478515625f ? -87.3365478515625f : x;
  x = x > 88.3762626647949f ? 88.3762626647949f : x;
  const float n = rintf(x * 1.44269504088896341f);
  float r = fmaf(n, -0.693359375f, x);
  r = fmaf(n, 2.12194440e-4f, r);
  float p = 1.9875691500e-4f;
  p = fmaf(p, r, 1.3981999507e-3f);
  p = fmaf(p, r, 8.3334519073e-3f);
  p = fmaf(p, r, 4.1665795894e-2f);
  p = fmaf(p, r, 1.6666665459e-1f);
  p = fmaf(p, r, 5.0000001201e-1f);
  const float y = fmaf(p, r * r, r) + 1.0f;
  return bits_float(float_bits(y) + (static_cast<uint32_t>(static_cast<int32_t>(n)) << 23));
}

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_DEVICE_H_
