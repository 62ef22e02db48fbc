// What a device can do at best, for benches to compare with: reading memory, and mma.m16n8k16 from registers.
//
//   air_ceiling_read    sums[thread] = exclusive or of its words; reads `bytes` once with 8 loads of 16 bytes in flight
//   air_ceiling_matrix  8 chains of `steps` matrix instructions per warp: 8 * 2 * 16 * 8 * 16 operations a step
#include "kernels/cuda/ceilings_params.h"
#include "kernels/cuda/device.h"

namespace air::cuda {

constexpr int kLoadsAtOnce = 8;

AIR_DEVICE uint32_t fold_words(Words4 v) { return v.x ^ v.y ^ v.z ^ v.w; }

}  // namespace air::cuda

AIR_KERNEL(256) air_ceiling_read(air::cuda::ReadCeilingParams p) {
  using namespace air::cuda;
  const int64_t thread = static_cast<int64_t>(block_x()) * block_threads() + thread_id();
  const int64_t stride = static_cast<int64_t>(grid_x()) * block_threads() * 16;
  int64_t at = thread * 16;
  uint32_t sum = 0;
  for (; at + (kLoadsAtOnce - 1) * stride < p.bytes; at += kLoadsAtOnce * stride) {
    Words4 words[kLoadsAtOnce];
    AIR_UNROLL
    for (int i = 0; i < kLoadsAtOnce; ++i) words[i] = load_words4_once(p.data + at + i * stride);
    AIR_UNROLL
    for (int i = 0; i < kLoadsAtOnce; ++i) sum ^= fold_words(words[i]);
  }
  for (; at < p.bytes; at += stride) sum ^= fold_words(load_words4_once(p.data + at));
  p.sums[thread] = sum;
}

AIR_KERNEL(256) air_ceiling_matrix(air::cuda::MatrixCeilingParams p) {
  using namespace air::cuda;
  constexpr uint32_t kOnes = 0x3c003c00u;
  const uint32_t a[4] = {kOnes, kOnes, kOnes, kOnes};
  const uint32_t b[2] = {kOnes, kOnes};
  float acc[kCeilingChains][4] = {};
  for (int32_t step = 0; step < p.steps; ++step) {
    AIR_UNROLL
    for (int chain = 0; chain < kCeilingChains; ++chain) mma_m16n8k16(acc[chain], a, b);
  }
  float sum = 0.0f;
  AIR_UNROLL
  for (int chain = 0; chain < kCeilingChains; ++chain) {
    sum += acc[chain][0] + acc[chain][1] + acc[chain][2] + acc[chain][3];
  }
  p.sums[block_x() * block_threads() + thread_id()] = sum;
}
