// GGUF's quantised blocks, byte for byte as they lie in a file (little-endian). A row of a tensor is a
// sequence of whole blocks. Files promise little about alignment: copy a block out before reading its fields.
// Layouts follow the format as published with ggml; `w` is the weight that a block stands for.
#ifndef AIR_CORE_WEIGHTS_BLOCK_FORMATS_H_
#define AIR_CORE_WEIGHTS_BLOCK_FORMATS_H_

#include <cstddef>
#include <cstdint>

namespace air {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "blocks are read in place, as little-endian");

// Blocks of 32 weights. In `quants` of the 4- and 5-bit types byte j holds element j in its low nibble and
// element j + 16 in its high one.

// w = scale * (q - 8)
struct BlockQ4_0 {
  uint16_t scale;      // float16
  uint8_t quants[16];  // q, 4 bits each
};
static_assert(sizeof(BlockQ4_0) == 18);
static_assert(offsetof(BlockQ4_0, quants) == 2);

// w = scale * q + min
struct BlockQ4_1 {
  uint16_t scale;      // float16
  uint16_t min;        // float16
  uint8_t quants[16];  // q, 4 bits each
};
static_assert(sizeof(BlockQ4_1) == 20);
static_assert(offsetof(BlockQ4_1, min) == 2);
static_assert(offsetof(BlockQ4_1, quants) == 4);

// w = scale * (q - 16)
struct BlockQ5_0 {
  uint16_t scale;        // float16
  uint8_t high_bits[4];  // a 32-bit word: bit j is bit 4 of q of element j (bytes, as the word is unaligned)
  uint8_t quants[16];    // the low 4 bits of q
};
static_assert(sizeof(BlockQ5_0) == 22);
static_assert(offsetof(BlockQ5_0, high_bits) == 2);
static_assert(offsetof(BlockQ5_0, quants) == 6);

// w = scale * q + min
struct BlockQ5_1 {
  uint16_t scale;        // float16
  uint16_t min;          // float16
  uint8_t high_bits[4];  // a 32-bit word: bit j is bit 4 of q of element j
  uint8_t quants[16];    // the low 4 bits of q
};
static_assert(sizeof(BlockQ5_1) == 24);
static_assert(offsetof(BlockQ5_1, min) == 2);
static_assert(offsetof(BlockQ5_1, high_bits) == 4);
static_assert(offsetof(BlockQ5_1, quants) == 8);

// w = scale * q
struct BlockQ8_0 {
  uint16_t scale;     // float16
  int8_t quants[32];  // q in element order
};
static_assert(sizeof(BlockQ8_0) == 34);
static_assert(offsetof(BlockQ8_0, quants) == 2);

// Blocks of 256 weights: eight groups of 32, each with a small integer scale (and min) under the block's.
//
// The eight 6-bit scales S and mins M of Q4_K and Q5_K share 12 bytes (high bits first):
//   byte j,     j in 0..3   S[j + 4][5:4]  S[j]        two bits, six bits
//   byte j + 4, j in 0..3   M[j + 4][5:4]  M[j]        two bits, six bits
//   byte j + 8, j in 0..3   M[j + 4][3:0]  S[j + 4][3:0]

// w = scale * S[g] * q - min * M[g], g = the element's group
struct BlockQ4K {
  uint16_t scale;            // float16
  uint16_t min;              // float16, subtracted
  uint8_t group_scales[12];  // S and M
  uint8_t quants[128];  // 32 bytes per pair of groups: low nibbles are group 2 p, high ones group 2 p + 1
};
static_assert(sizeof(BlockQ4K) == 144);
static_assert(offsetof(BlockQ4K, min) == 2);
static_assert(offsetof(BlockQ4K, group_scales) == 4);
static_assert(offsetof(BlockQ4K, quants) == 16);

// w = scale * S[g] * q - min * M[g]
struct BlockQ5K {
  uint16_t scale;            // float16
  uint16_t min;              // float16, subtracted
  uint8_t group_scales[12];  // S and M
  uint8_t high_bits[32];     // bit g of byte i is bit 4 of q of element i of group g
  uint8_t quants[128];       // the low 4 bits of q, as in Q4_K
};
static_assert(sizeof(BlockQ5K) == 176);
static_assert(offsetof(BlockQ5K, min) == 2);
static_assert(offsetof(BlockQ5K, group_scales) == 4);
static_assert(offsetof(BlockQ5K, high_bits) == 16);
static_assert(offsetof(BlockQ5K, quants) == 48);

// w = scale * group_scales[e / 16] * (q - 32), e = the element's index. Each half of the block (128 elements)
// has 64 bytes of `low_bits` and 32 of `high_bits`; within it, element 32 c + i (c in 0..3) has
//   bits 3:0 of q in low_bits[32 (c mod 2) + i], low nibble for c < 2, else high
//   bits 5:4 of q in high_bits[i], bits 2 c + 1 : 2 c
struct BlockQ6K {
  uint8_t low_bits[128];
  uint8_t high_bits[64];
  int8_t group_scales[16];  // one per 16 elements, signed
  uint16_t scale;           // float16
};
static_assert(sizeof(BlockQ6K) == 210);
static_assert(offsetof(BlockQ6K, high_bits) == 128);
static_assert(offsetof(BlockQ6K, group_scales) == 192);
static_assert(offsetof(BlockQ6K, scale) == 208);

}  // namespace air

#endif  // AIR_CORE_WEIGHTS_BLOCK_FORMATS_H_
