#include "test/kernels/probes/faults.h"

#include "kernels/cuda/device.h"

using namespace air::cuda;
using namespace probe;

AIR_KERNEL(256) probe_exchange(const float* in, float* out, int32_t plant) {
  auto* shared = reinterpret_cast<float*>(shared_memory());
  const uint32_t t = thread_id();
  if (plant != kSharedUninitialised || t != 7) shared[t] = in[t];
  if (plant == kBarrierInBranch) {
    if (t < 32) sync_threads();
    return;
  } else if (plant == kTwoBarriers) {
    if (t < 32) {
      sync_threads();
    } else {
      sync_threads();
    }
  } else if (plant == kExitBeforeBarrier) {
    if (t == 5) return;
    sync_threads();
  } else if (plant == kWarpAgainstBlock) {
    if (t == 40) sync_warp();
    sync_threads();
  } else if (plant != kNoBarrier) {
    sync_threads();
  }
  const float value = shared[t ^ 1];
  if (plant != kNoBarrierBeforeRewrite) sync_threads();
  shared[t] = value + 1.0f;
  out[t] = shared[t];
}

AIR_KERNEL(256) probe_warp_sum(const float* in, float* out, int32_t plant) {
  auto* shared = reinterpret_cast<float*>(shared_memory());
  const uint32_t t = thread_id();
  const uint32_t lane = lane_id();
  if (plant == kLaneExited && lane == 3) return;
  shared[t] = in[t];
  if (plant == kPartialWarpSync) {
    sync_warp(lane < 16 ? 0xffffu : 0xffff0000u);
  } else if (plant != kNoWarpSync) {
    sync_warp();
  }
  float sum = shared[t ^ 31];
  uint32_t mask = kAllLanes;
  if (plant == kOtherMask && lane < 16) mask = 0xffffu;
  if (plant == kNotInOwnMask) mask = ~(1u << lane);
  if (plant == kSourceOutsideMask) mask = lane < 16 ? 0xffffu : 0xffff0000u;
  if (plant == kOtherInstruction && lane == 9) {
    sum += shuffle_xor(sum, 16, mask);
  } else {
    sum += shuffle_xor(sum, 16, mask);
  }
  for (uint32_t distance = 8; distance > 0; distance /= 2) sum += shuffle_xor(sum, distance, mask);
  out[t] = sum;
}

AIR_KERNEL(64)
probe_last_block(const float* in, float* partials, uint32_t* counter, float* out, int32_t plant) {
  auto* is_last = reinterpret_cast<uint32_t*>(shared_memory());
  const uint32_t t = thread_id();
  float sum = in[block_x() * block_threads() + t];
  for (uint32_t distance = 16; distance > 0; distance /= 2) sum += shuffle_xor(sum, distance);
  if (plant == kBlocksWriteOne) {
    if (t == 0) partials[0] = sum;
    return;
  }
  if (t == 0) {
    partials[block_x()] = sum;
    if (plant != kNoFence) thread_fence();
    *is_last = plant == kNoAtomic ? block_x() + 1 == grid_x() : atomic_add(counter, 1) + 1 == grid_x();
  }
  sync_threads();
  if (*is_last == 0 || t != 31) return;
  float total = 0.0f;
  for (uint32_t block = 0; block < grid_x(); ++block) total += partials[block];
  out[0] = total;
}

AIR_KERNEL(64) probe_pipeline(const float* in, float* out, int32_t tiles, int32_t plant) {
  auto* shared = reinterpret_cast<float*>(shared_memory());
  const uint32_t tile_floats = 4 * block_threads();
  const uint32_t at = 4 * thread_id();
  const auto fetch = [&](int32_t tile) {
    if (tile < tiles)
      cp_async16(shared + static_cast<uint32_t>(tile % 2) * tile_floats + at,
                 in + static_cast<uint32_t>(tile) * tile_floats + at);
    if (plant != kNoCommit) cp_async_commit();
  };
  fetch(0);
  for (int32_t tile = 0; tile < tiles; ++tile) {
    fetch(tile + 1);
    if (plant == kWaitForTooFew) cp_async_wait<2>();
    if (plant != kNoWait && plant != kWaitForTooFew) cp_async_wait<1>();
    if (plant == kWriteDuringCopy) shared[static_cast<uint32_t>((tile + 1) % 2) * tile_floats + at] = 0.0f;
    if (plant != kNoBarrierAfterWait) sync_threads();
    // Of another thread's copy.
    const uint32_t other = (at + 4) % tile_floats;
    for (uint32_t i = 0; i < 4; ++i) {
      out[static_cast<uint32_t>(tile) * tile_floats + other + i] =
          shared[static_cast<uint32_t>(tile % 2) * tile_floats + other + i] + 1.0f;
    }
    if (plant != kRefillWhileRead) sync_threads();
  }
  if (plant != kNoWait) cp_async_wait<0>();
}

AIR_KERNEL(64) probe_addresses(const float* in, float* out, int32_t plant) {
  auto* shared = reinterpret_cast<float*>(shared_memory());
  const uint32_t t = thread_id();
  const uint32_t count = 4 * block_threads();
  for (uint32_t i = 0; i < 4; ++i) shared[4 * t + i] = 0.0f;
  sync_threads();
  Words4 words = load_words4(in + 4 * t);
  uint32_t matrices[4] = {};
  if (plant == kReadPastEnd && t == 3) words.x = float_bits(in[count]);
  if (plant == kReadBeforeBegin && t == 3) words.x = float_bits(*(in - 1));
  if (plant == kWriteReadOnly && t == 3) *const_cast<float*>(in) = 0.0f;
  if (plant == kWriteUnregistered && t == 3) *reinterpret_cast<float*>(uintptr_t{4096}) = 0.0f;
  if (plant == kSharedPastEnd && t == 3) shared[count] = 0.0f;
  if (plant == kVectorMisaligned && t == 3) words = load_words4(in + 1);
  if (plant == kWordMisaligned && t == 3)
    words.x = *reinterpret_cast<const volatile uint32_t*>(reinterpret_cast<const uint8_t*>(in) + 2);
  if (plant == kCopyMisaligned && t == 3) cp_async16(shared + 1, in);
  if (plant == kCopyPastEnd && t == 3) cp_async16(shared, in + count);
  if (plant == kMatrixRowInGlobal) ldmatrix_x4(matrices, in + 4 * lane_id());
  if (plant == kMatrixRowPastEnd) ldmatrix_x4(matrices, shared + 4 * (lane_id() + block_threads() - 31));
  if (plant == kMatrixRowMisaligned) ldmatrix_x4(matrices, shared + lane_id());
  if (plant == kGlobalUninitialised && t == 3) words.x = float_bits(out[4 * t]);
  if (plant == kArrayIndex) matrices[t % 8] = 1;
  if (plant == kShift) words.x <<= 30 + t;
  while (plant == kEndlessLoop) words.x += *reinterpret_cast<const volatile uint32_t*>(in);
  words.y += matrices[0];
  store_words4(out + 4 * t, words);
}
