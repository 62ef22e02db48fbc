// Cells of KV pages as B operands of mma.sync m16n8k16. Integers become binary16 exactly: put into the mantissa of
// 1024, whose unit in the last place is 1, and 1024 plus their offset taken off again (as FasterTransformer's and
// Marlin's conversions do, arXiv 2211.10017).
#ifndef AIR_KERNELS_CUDA_ATTENTION_FRAGMENTS_H_
#define AIR_KERNELS_CUDA_ATTENTION_FRAGMENTS_H_

#include "kernels/cuda/device.h"
#include "kernels/cuda/kv_layout.h"

namespace air::cuda {

constexpr uint32_t kHalf1024 = 0x64006400u;  // pairs of binary16
constexpr uint32_t kHalf1032 = 0x64086408u;
constexpr uint32_t kHalf1152 = 0x64806480u;
constexpr uint32_t kHalfSixteenth = 0x2c002c00u;
constexpr uint32_t kHalfMinus72 = 0xd480d480u;
constexpr int kAndOr = 0xea;  // logic3: (a & b) | c

// Bytes 0, 1 (first) or 2, 3 of the word, less 128.
AIR_DEVICE uint32_t widen_bytes(uint32_t word, bool first) {
  return sub_halves(permute_bytes(word, kHalf1024, first ? 0x5150u : 0x5352u), kHalf1152);
}
// Nibbles 0 and 4 of the word, less 8.
AIR_DEVICE uint32_t widen_low_nibbles(uint32_t word) {
  return sub_halves(logic3<kAndOr>(word, 0x000f000fu, kHalf1024), kHalf1032);
}
// Nibbles 1 and 5, less 8: 1024 + 16 q, divided by 16, is 64 + q.
AIR_DEVICE uint32_t widen_high_nibbles(uint32_t word) {
  return fma_halves(logic3<kAndOr>(word, 0x00f000f0u, kHalf1024), kHalfSixteenth, kHalfMinus72);
}

// b[i][step]: the 8 tokens of tile i, 16 of the cell's dims; without scales.
template <int type>
AIR_DEVICE void load_keys(const uint8_t* cell, uint32_t (&b)[2][2][2]) {
  const uint32_t lane = lane_id();
  if (type == AIR_KV_INT8) {
    const Words4 v = load_words4(cell + lane * 16);
    const uint32_t words[2][2] = {{v.x, v.y}, {v.z, v.w}};
    AIR_UNROLL
    for (int i = 0; i < 2; ++i) {
      AIR_UNROLL
      for (int step = 0; step < 2; ++step) {
        b[i][step][0] = widen_bytes(words[i][step], true);
        b[i][step][1] = widen_bytes(words[i][step], false);
      }
    }
  } else if (type == AIR_KV_INT4) {
    const Words2 v = load_words2(cell + lane * 8);
    AIR_UNROLL
    for (int i = 0; i < 2; ++i) {
      const uint32_t word = i == 0 ? v.x : v.y;
      b[i][0][0] = widen_low_nibbles(word);
      b[i][0][1] = widen_high_nibbles(word);
      b[i][1][0] = widen_low_nibbles(word >> 8);
      b[i][1][1] = widen_high_nibbles(word >> 8);
    }
  } else {
    AIR_UNROLL
    for (int i = 0; i < 2; ++i) {
      const Words4 v = load_words4(cell + (i * 32 + lane) * 16);
      b[i][0][0] = v.x;
      b[i][0][1] = v.y;
      b[i][1][0] = v.z;
      b[i][1][1] = v.w;
    }
  }
}

// b[j]: 16 tokens, the dims 4 n + j of column n. scales: of the lane's four tokens, zero where nobody reads; keep:
// masks of the same.
template <int type>
AIR_DEVICE void load_values(const uint8_t* cell, Words2 scales, Words2 keep, uint32_t (&b)[4][2]) {
  const uint32_t lane = lane_id();
  if (type == AIR_KV_INT8) {
    const Words4 v = load_words4(cell + lane * 16);
    const uint32_t words[4] = {v.x, v.y, v.z, v.w};
    AIR_UNROLL
    for (int j = 0; j < 4; ++j) {
      b[j][0] = mul_halves(widen_bytes(words[j], true), scales.x);
      b[j][1] = mul_halves(widen_bytes(words[j], false), scales.y);
    }
  } else if (type == AIR_KV_INT4) {
    const Words2 v = load_words2(cell + lane * 8);
    AIR_UNROLL
    for (int i = 0; i < 2; ++i) {
      const uint32_t word = i == 0 ? v.x : v.y;
      b[2 * i][0] = mul_halves(widen_low_nibbles(word), scales.x);
      b[2 * i][1] = mul_halves(widen_low_nibbles(word >> 8), scales.y);
      b[2 * i + 1][0] = mul_halves(widen_high_nibbles(word), scales.x);
      b[2 * i + 1][1] = mul_halves(widen_high_nibbles(word >> 8), scales.y);
    }
  } else {
    AIR_UNROLL
    for (int i = 0; i < 2; ++i) {
      const Words4 v = load_words4(cell + (i * 32 + lane) * 16);
      b[2 * i][0] = v.x & keep.x;
      b[2 * i][1] = v.y & keep.y;
      b[2 * i + 1][0] = v.z & keep.x;
      b[2 * i + 1][1] = v.w & keep.y;
    }
  }
}

// Two binary16 numbers of a word.
AIR_DEVICE void unpack_halves(uint32_t word, float (&values)[2]) {
  values[0] = half_to_float(static_cast<uint16_t>(word & 0xffffu));
  values[1] = half_to_float(static_cast<uint16_t>(word >> 16));
}

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_ATTENTION_FRAGMENTS_H_
