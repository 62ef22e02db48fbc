// Quantised blocks to small integers with their scales: the one place that knows each format's bit layout.
#ifndef AIR_CORE_WEIGHTS_BLOCK_DECODE_H_
#define AIR_CORE_WEIGHTS_BLOCK_DECODE_H_

#include <cstdint>

#include "native/core/weights/tensor.h"

namespace air {

// 32 consecutive weights of a row: w = scales[k / 16] * q[k] + min. The float32 fields are the file's exact
// values (a float16 times a small integer needs at most 18 bits), and so is every product scale * q.
struct DecodedGroup {
  float scales[2];  // of elements 0..15 and 16..31; equal but for Q6_K
  float min;        // 0 for types without minimums
  int8_t q[32];
};

// The most groups of 32 in one block.
constexpr int kMaxBlockGroups = 8;

// Decodes one block (tensor_type_info(type).block_bytes at `block`, any alignment) of a quantised type to
// block_values / 32 groups.
void decode_block(TensorType type, const uint8_t* block, DecodedGroup* groups) noexcept;

// True when every float16 field of the block is finite; quantised types only.
bool block_is_finite(TensorType type, const uint8_t* block) noexcept;

}  // namespace air

#endif  // AIR_CORE_WEIGHTS_BLOCK_DECODE_H_
