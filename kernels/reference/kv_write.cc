// One token's key and value into a page: quantised per token and head, or as binary16.
#include "kernels/reference/ops.h"
#include "kernels/reference/scalar.h"

namespace air::reference {
namespace {

constexpr float kMaxHalf = 65504.0f;

// Quantises x [dims] to q [dims]; returns the scale as binary16.
uint16_t quantize_head(const float* x, int64_t dims, int8_t* q) {
  const uint32_t max_bits = max_magnitude_bits(x, dims);
  if (max_bits >= 0x7f800000u) {
    memset(q, 0, static_cast<size_t>(dims));
    return float_to_half(NAN);
  }
  const float exact = bits_float(max_bits) / 127.0f;
  const uint16_t half = float_to_half(exact > kMaxHalf ? kMaxHalf : exact);
  const float scale = half_to_float(half);
  for (int64_t d = 0; d < dims; ++d) {
    float rounded = scale == 0.0f ? 0.0f : rintf(x[d] / scale);
    rounded = rounded > 127.0f ? 127.0f : rounded;
    rounded = rounded < -127.0f ? -127.0f : rounded;
    q[d] = static_cast<int8_t>(rounded);
  }
  return half;
}

// Quantises a group of 32 to q + 8, 0 .. 15; returns the scale as binary16.
uint16_t quantize_group(const float* x, uint8_t* nibbles) {
  const uint32_t max_bits = max_magnitude_bits(x, AIR_GROUP);
  memset(nibbles, 8, AIR_GROUP);
  if (max_bits >= 0x7f800000u) return float_to_half(NAN);
  const float largest = bits_float(max_bits);
  const float exact = largest / 8.0f;
  uint16_t half = float_to_half(exact > kMaxHalf ? kMaxHalf : exact);
  if (half == 0) return half;
  for (int64_t d = 0; d < AIR_GROUP; ++d) {
    if (x[d] == largest) half |= 0x8000u;  // the largest magnitude becomes -8, whatever its sign
  }
  const float scale = half_to_float(half & 0xffffu);
  for (int64_t d = 0; d < AIR_GROUP; ++d) {
    float rounded = rintf(x[d] / scale);
    rounded = rounded > 7.0f ? 7.0f : rounded;
    rounded = rounded < -8.0f ? -8.0f : rounded;
    nibbles[d] = static_cast<uint8_t>(static_cast<int32_t>(rounded) + 8);
  }
  return half;
}

// Two values to a byte, as air_formats.h pairs them: x [dims] to bytes [dims / 2], one scale for each group.
void quantize_int4(const float* x, int64_t dims, uint8_t* bytes, uint16_t* scales) {
  for (int64_t g = 0; g < dims / AIR_GROUP; ++g) {
    uint8_t nibbles[AIR_GROUP];
    scales[g] = quantize_group(x + g * AIR_GROUP, nibbles);
    for (int64_t b = 0; b < AIR_GROUP / 2; ++b) {
      bytes[g * AIR_GROUP / 2 + b] = static_cast<uint8_t>(nibbles[b] | nibbles[AIR_GROUP / 2 + b] << 4);
    }
  }
}

}  // namespace

// key, value: [D]
void kv_write(const AirKvLayout* layout, uint8_t* member, int64_t offset, const float* key,
              const float* value) {
  const int64_t dims = layout->head_dim;
  const int64_t lane = offset % AIR_STRIPE;
  const int64_t stripe_start = (offset - lane) * dims;                     // in elements
  const int64_t scales_start = (offset - lane) * dims / AIR_GROUP + lane;  // the same, of INT4's scales
  int8_t q[AIR_MAX_HEAD_DIM];
  uint8_t bytes[AIR_MAX_HEAD_DIM / 2];
  uint16_t scales[AIR_MAX_HEAD_DIM / AIR_GROUP];

  if (layout->key_type == AIR_KV_INT8) {
    write_half(member + layout->key_scales_offset, offset, quantize_head(key, dims, q));
    for (int64_t d = 0; d < dims; ++d) {
      member[stripe_start + (d / 4) * 64 + lane * 4 + d % 4] = static_cast<uint8_t>(q[d]);
    }
  } else if (layout->key_type == AIR_KV_INT4) {
    quantize_int4(key, dims, bytes, scales);
    for (int64_t i = 0; i < dims / 2; ++i)
      member[stripe_start / 2 + (i / 4) * 64 + lane * 4 + i % 4] = bytes[i];
    for (int64_t g = 0; g < dims / AIR_GROUP; ++g)
      write_half(member + layout->key_scales_offset, scales_start + g * AIR_STRIPE, scales[g]);
  } else {
    for (int64_t d = 0; d < dims; ++d)
      write_half(member, stripe_start + d * 16 + lane, float_to_half(key[d]));
  }

  uint8_t* values = member + layout->values_offset;
  if (layout->value_type == AIR_KV_INT8) {
    write_half(member + layout->value_scales_offset, offset, quantize_head(value, dims, q));
    memcpy(values + offset * dims, q, static_cast<size_t>(dims));
  } else if (layout->value_type == AIR_KV_INT4) {
    quantize_int4(value, dims, bytes, scales);
    memcpy(values + offset * dims / 2, bytes, static_cast<size_t>(dims / 2));
    for (int64_t g = 0; g < dims / AIR_GROUP; ++g)
      write_half(member + layout->value_scales_offset, scales_start + g * AIR_STRIPE, scales[g]);
  } else {
    for (int64_t d = 0; d < dims; ++d) write_half(values, offset * dims + d, float_to_half(value[d]));
  }
}

}  // namespace air::reference
