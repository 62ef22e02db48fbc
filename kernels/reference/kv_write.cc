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

}  // namespace

// key, value: [D]
void kv_write(const AirKvLayout* layout, uint8_t* member, int64_t offset, const float* key,
              const float* value) {
  const int64_t dims = layout->head_dim;
  const int64_t lane = offset % AIR_STRIPE;
  const int64_t stripe_start = (offset - lane) * dims;  // in elements
  int8_t q[AIR_MAX_HEAD_DIM];

  if (layout->key_type == AIR_KV_INT8) {
    write_half(member + layout->key_scales_offset, offset, quantize_head(key, dims, q));
    for (int64_t d = 0; d < dims; ++d) {
      member[stripe_start + (d / 4) * 64 + lane * 4 + d % 4] = static_cast<uint8_t>(q[d]);
    }
  } else {
    for (int64_t d = 0; d < dims; ++d)
      write_half(member, stripe_start + d * 16 + lane, float_to_half(key[d]));
  }

  uint8_t* values = member + layout->values_offset;
  if (layout->value_type == AIR_KV_INT8) {
    write_half(member + layout->value_scales_offset, offset, quantize_head(value, dims, q));
    memcpy(values + offset * dims, q, static_cast<size_t>(dims));
  } else {
    for (int64_t d = 0; d < dims; ++d) write_half(values, offset * dims + d, float_to_half(value[d]));
  }
}

}  // namespace air::reference
