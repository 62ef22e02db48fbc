// Reductions over all threads of a block, whose number is a multiple of 32. The order depends on that number alone: lanes
// by distances 16, 8, 4, 2, 1, then the warps from the first to the last.
#ifndef AIR_KERNELS_CUDA_BLOCK_REDUCE_H_
#define AIR_KERNELS_CUDA_BLOCK_REDUCE_H_

#include "kernels/cuda/device.h"

namespace air::cuda {

// combine(a, b) of the values of all threads; every thread gets the result. shared: room for 32 values, which nobody
// else touches between the barriers within.
template <typename T, typename Combine>
AIR_DEVICE T reduce_block(T value, T* shared, const Combine& combine) {
  for (uint32_t distance = kWarp / 2; distance > 0; distance /= 2) {
    const T other = shuffle_xor(value, distance);
    // The lower lane's value comes first in both, so that both compute the same.
    value = (lane_id() & distance) == 0 ? combine(value, other) : combine(other, value);
  }
  sync_threads();
  if (lane_id() == 0) shared[warp_id()] = value;
  sync_threads();
  T result = shared[0];
  for (uint32_t warp = 1; warp < block_threads() / kWarp; ++warp) result = combine(result, shared[warp]);
  return result;
}

AIR_DEVICE float block_sum(float value, float* shared) {
  return reduce_block(value, shared, [](float a, float b) { return a + b; });
}

// A NaN counts only when it comes first, as with std::max.
AIR_DEVICE float block_max(float value, float* shared) {
  return reduce_block(value, shared, [](float a, float b) { return b > a ? b : a; });
}

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_BLOCK_REDUCE_H_
