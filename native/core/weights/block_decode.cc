#include "native/core/weights/block_decode.h"

#include <cstring>

#include "native/core/half.h"
#include "native/core/weights/block_formats.h"

namespace air {
namespace {

template <typename Block>
Block load_block(const uint8_t* bytes) {
  Block block;
  std::memcpy(&block, bytes, sizeof(block));
  return block;
}

void set_scale(DecodedGroup* group, float scale, float min) {
  group->scales[0] = scale;
  group->scales[1] = scale;
  group->min = min;
}

// Low nibbles to elements 0..15, high nibbles to 16..31, as the blocks of 32 keep them.
// quants: [16]; q: [32]
void split_nibbles(const uint8_t* quants, int bias, int8_t* q) {
  for (int j = 0; j < 16; ++j) {
    q[j] = static_cast<int8_t>((quants[j] & 0xf) - bias);
    q[j + 16] = static_cast<int8_t>((quants[j] >> 4) - bias);
  }
}

// As split_nibbles, with bit j of the word `high_bits` as the fifth bit of element j.
void split_five_bits(const uint8_t* quants, const uint8_t* high_bits, int bias, int8_t* q) {
  uint32_t word;
  std::memcpy(&word, high_bits, sizeof(word));
  for (int j = 0; j < 16; ++j) {
    const int low = (quants[j] & 0xf) | static_cast<int>((word >> j) & 1) << 4;
    const int high = (quants[j] >> 4) | static_cast<int>((word >> (j + 16)) & 1) << 4;
    q[j] = static_cast<int8_t>(low - bias);
    q[j + 16] = static_cast<int8_t>(high - bias);
  }
}

// Sets the scale and min of the eight groups of a Q4_K or Q5_K block. packed: [12]
void set_group_scales(uint16_t block_scale, uint16_t block_min, const uint8_t* packed, DecodedGroup* groups) {
  const float scale = half_to_float(block_scale);
  const float min = half_to_float(block_min);
  for (int j = 0; j < 4; ++j) {
    const int scale_low = packed[j] & 0x3f;
    const int min_low = packed[j + 4] & 0x3f;
    const int scale_high = (packed[j + 8] & 0xf) | (packed[j] >> 6) << 4;
    const int min_high = (packed[j + 8] >> 4) | (packed[j + 4] >> 6) << 4;
    set_scale(&groups[j], scale * static_cast<float>(scale_low), -min * static_cast<float>(min_low));
    set_scale(&groups[j + 4], scale * static_cast<float>(scale_high), -min * static_cast<float>(min_high));
  }
}

void decode_q4_0(const BlockQ4_0& block, DecodedGroup* groups) {
  set_scale(groups, half_to_float(block.scale), 0.0f);
  split_nibbles(block.quants, 8, groups->q);
}

void decode_q4_1(const BlockQ4_1& block, DecodedGroup* groups) {
  set_scale(groups, half_to_float(block.scale), half_to_float(block.min));
  split_nibbles(block.quants, 0, groups->q);
}

void decode_q5_0(const BlockQ5_0& block, DecodedGroup* groups) {
  set_scale(groups, half_to_float(block.scale), 0.0f);
  split_five_bits(block.quants, block.high_bits, 16, groups->q);
}

void decode_q5_1(const BlockQ5_1& block, DecodedGroup* groups) {
  set_scale(groups, half_to_float(block.scale), half_to_float(block.min));
  split_five_bits(block.quants, block.high_bits, 0, groups->q);
}

void decode_q8_0(const BlockQ8_0& block, DecodedGroup* groups) {
  set_scale(groups, half_to_float(block.scale), 0.0f);
  std::memcpy(groups->q, block.quants, sizeof(block.quants));
}

void decode_q4_k(const BlockQ4K& block, DecodedGroup* groups) {
  set_group_scales(block.scale, block.min, block.group_scales, groups);
  for (int pair = 0; pair < 4; ++pair) {
    const uint8_t* quants = block.quants + 32 * pair;
    int8_t* low = groups[2 * pair].q;
    int8_t* high = groups[2 * pair + 1].q;
    for (int i = 0; i < 32; ++i) {
      low[i] = static_cast<int8_t>(quants[i] & 0xf);
      high[i] = static_cast<int8_t>(quants[i] >> 4);
    }
  }
}

void decode_q5_k(const BlockQ5K& block, DecodedGroup* groups) {
  set_group_scales(block.scale, block.min, block.group_scales, groups);
  for (int pair = 0; pair < 4; ++pair) {
    const uint8_t* quants = block.quants + 32 * pair;
    int8_t* low = groups[2 * pair].q;
    int8_t* high = groups[2 * pair + 1].q;
    for (int i = 0; i < 32; ++i) {
      const int fifth_bits = block.high_bits[i] >> (2 * pair);
      low[i] = static_cast<int8_t>((quants[i] & 0xf) | (fifth_bits & 1) << 4);
      high[i] = static_cast<int8_t>((quants[i] >> 4) | (fifth_bits & 2) << 3);
    }
  }
}

void decode_q6_k(const BlockQ6K& block, DecodedGroup* groups) {
  const float scale = half_to_float(block.scale);
  for (int g = 0; g < 8; ++g) {
    const int half = g / 4;
    const int quarter = g % 4;
    const uint8_t* low_bits = block.low_bits + 64 * half + 32 * (quarter % 2);
    const uint8_t* high_bits = block.high_bits + 32 * half;
    const int low_shift = quarter < 2 ? 0 : 4;
    for (int i = 0; i < 32; ++i) {
      const int low = (low_bits[i] >> low_shift) & 0xf;
      const int high = (high_bits[i] >> (2 * quarter)) & 3;
      groups[g].q[i] = static_cast<int8_t>((low | high << 4) - 32);
    }
    groups[g].scales[0] = scale * static_cast<float>(block.group_scales[2 * g]);
    groups[g].scales[1] = scale * static_cast<float>(block.group_scales[2 * g + 1]);
    groups[g].min = 0.0f;
  }
}

// Byte offsets of a block's float16 fields: one, or two for types with a minimum.
struct HalfFields {
  int count;
  size_t offsets[2];
};

HalfFields half_fields(TensorType type) {
  switch (type) {
    case TensorType::kQ6K:
      return {1, {offsetof(BlockQ6K, scale), 0}};
    case TensorType::kQ4_1:
      return {2, {offsetof(BlockQ4_1, scale), offsetof(BlockQ4_1, min)}};
    case TensorType::kQ5_1:
      return {2, {offsetof(BlockQ5_1, scale), offsetof(BlockQ5_1, min)}};
    case TensorType::kQ4K:
      return {2, {offsetof(BlockQ4K, scale), offsetof(BlockQ4K, min)}};
    case TensorType::kQ5K:
      return {2, {offsetof(BlockQ5K, scale), offsetof(BlockQ5K, min)}};
    default:
      return {1, {0, 0}};  // Q4_0, Q5_0 and Q8_0 begin with their scale
  }
}

}  // namespace

void decode_block(TensorType type, const uint8_t* block, DecodedGroup* groups) noexcept {
  switch (type) {
    case TensorType::kQ4_0:
      return decode_q4_0(load_block<BlockQ4_0>(block), groups);
    case TensorType::kQ4_1:
      return decode_q4_1(load_block<BlockQ4_1>(block), groups);
    case TensorType::kQ5_0:
      return decode_q5_0(load_block<BlockQ5_0>(block), groups);
    case TensorType::kQ5_1:
      return decode_q5_1(load_block<BlockQ5_1>(block), groups);
    case TensorType::kQ8_0:
      return decode_q8_0(load_block<BlockQ8_0>(block), groups);
    case TensorType::kQ4K:
      return decode_q4_k(load_block<BlockQ4K>(block), groups);
    case TensorType::kQ5K:
      return decode_q5_k(load_block<BlockQ5K>(block), groups);
    case TensorType::kQ6K:
      return decode_q6_k(load_block<BlockQ6K>(block), groups);
    case TensorType::kF32:
    case TensorType::kF16:
    case TensorType::kBf16:
      return;  // no blocks
  }
}

bool block_is_finite(TensorType type, const uint8_t* block) noexcept {
  const HalfFields fields = half_fields(type);
  for (int i = 0; i < fields.count; ++i) {
    uint16_t half;
    std::memcpy(&half, block + fields.offsets[i], sizeof(half));
    if (!half_is_finite(half)) return false;
  }
  return true;
}

}  // namespace air
