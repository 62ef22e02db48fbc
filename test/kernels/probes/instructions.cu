#include "test/kernels/probes/instructions.h"

#include "kernels/cuda/device.h"

using namespace air::cuda;
using namespace probe;

AIR_KERNEL(32) probe_multiply_half(const uint16_t* a, const uint16_t* b, float* d, int32_t loading) {
  auto* shared_a = reinterpret_cast<uint16_t*>(shared_memory());
  uint16_t* shared_b = shared_a + 256;
  const uint32_t lane = lane_id();
  for (uint32_t i = lane; i < 256; i += kWarp) shared_a[i] = a[i];
  for (uint32_t i = lane; i < 128; i += kWarp) shared_b[i] = b[i];
  sync_threads();
  const uint32_t group = lane / 4;
  const uint32_t pair = lane % 4 * 2;
  uint32_t fragment_a[4];
  uint32_t fragment_b[2];
  const auto pair_at = [](const uint16_t* at) { return at[0] | static_cast<uint32_t>(at[1]) << 16; };
  if (loading == kByIndex || loading == kWrongIndex) {
    for (uint32_t i = 0; i < 4; ++i)
      fragment_a[i] = pair_at(shared_a + (group + 8 * (i % 2)) * 16 + pair + 8 * (i / 2));
    for (uint32_t i = 0; i < 2; ++i) fragment_b[i] = pair_at(shared_b + group * 16 + pair + 8 * i);
    if (loading == kWrongIndex) {
      const uint32_t kept = fragment_a[1];
      fragment_a[1] = fragment_a[2];
      fragment_a[2] = kept;
    }
  } else if (loading == kByMatrices) {
    ldmatrix_x4(fragment_a, shared_a + lane % 16 * 16 + lane / 16 * 8);
    ldmatrix_x2(fragment_b, shared_b + lane % 8 * 16 + lane / 8 % 2 * 8);
  } else {
    ldmatrix_x4_trans(fragment_a, shared_a + (lane % 8 + lane / 16 * 8) * 16 + lane / 8 % 2 * 8);
    ldmatrix_x2_trans(fragment_b, shared_b + lane % 16 * 8);
  }
  float sums[4];
  for (uint32_t i = 0; i < 4; ++i) sums[i] = d[(group + 8 * (i / 2)) * 8 + pair + i % 2];
  mma_m16n8k16(sums, fragment_a, fragment_b);
  for (uint32_t i = 0; i < 4; ++i) d[(group + 8 * (i / 2)) * 8 + pair + i % 2] = sums[i];
}

AIR_KERNEL(32) probe_multiply_int8(const uint32_t* a, const uint32_t* b, int32_t* d) {
  const uint32_t group = lane_id() / 4;
  const uint32_t column = lane_id() % 4;
  uint32_t fragment_a[4];
  uint32_t fragment_b[2];
  for (uint32_t i = 0; i < 4; ++i) fragment_a[i] = a[(group + 8 * (i % 2)) * 8 + column + 4 * (i / 2)];
  for (uint32_t i = 0; i < 2; ++i) fragment_b[i] = b[group * 8 + column + 4 * i];
  int32_t sums[4];
  for (uint32_t i = 0; i < 4; ++i) sums[i] = d[(group + 8 * (i / 2)) * 8 + column * 2 + i % 2];
  mma_m16n8k32_s8(sums, fragment_a, fragment_b);
  for (uint32_t i = 0; i < 4; ++i) d[(group + 8 * (i / 2)) * 8 + column * 2 + i % 2] = sums[i];
}

AIR_KERNEL(32) probe_shuffles(uint32_t* out) {
  const uint32_t lane = lane_id();
  const uint32_t value = 100 + lane;
  uint32_t* results = out + lane * kShuffleResults;
  results[0] = shuffle(value, lane * 3 % 32);
  results[1] = shuffle_xor(value, 5);
  results[2] = shuffle_down(value, 4);
  results[3] = shuffle_up(value, 4);
  results[4] = vote_ballot(lane % 3 == 0);
  results[5] = static_cast<uint32_t>(vote_any(lane == 17)) | static_cast<uint32_t>(vote_all(lane < 31)) << 1 |
               static_cast<uint32_t>(vote_all(lane < 32)) << 2 |
               static_cast<uint32_t>(vote_any(lane > 31)) << 3;
  // Two halves of the warp by themselves.
  results[6] = 0;
  results[7] = 0;
  if (lane < 16) {
    results[6] = vote_ballot(lane % 2 == 0, 0xffffu);
  } else {
    results[7] = static_cast<uint32_t>(
        shuffle(static_cast<uint64_t>(lane) << 40, 16 + (lane + 1) % 16, 0xffff0000u) >> 40);
  }
}

AIR_KERNEL(64)
probe_bits(const uint32_t* a, const uint32_t* b, const uint32_t* c, uint32_t* out, int32_t count) {
  const auto i = static_cast<int32_t>(thread_id() + block_x() * block_threads());
  if (i >= count) return;
  uint32_t* results = out + i * kBitResults;
  results[0] = logic3<0xea>(a[i], b[i], c[i]);
  results[1] = logic3<0x78>(a[i], b[i], c[i]);
  results[2] = permute_bytes(a[i], b[i], c[i] & 0x7777u);
  results[3] = static_cast<uint32_t>(dot4(a[i], b[i], static_cast<int32_t>(c[i])));
  results[4] = add_halves(a[i], b[i]);
  results[5] = sub_halves(a[i], b[i]);
  results[6] = mul_halves(a[i], b[i]);
  results[7] = fma_halves(a[i], b[i], c[i]);
  results[8] = pack_halves(half_to_float(static_cast<uint16_t>(a[i])) * 1.0009765625f, bits_float(b[i]));
}
