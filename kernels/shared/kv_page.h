// Where one token's key and value go in a page; an ISA brings the conversions. Internal linkage, for the reason
// given in matmul_tiles.h.
#ifndef AIR_KERNELS_SHARED_KV_PAGE_H_
#define AIR_KERNELS_SHARED_KV_PAGE_H_

#include <string.h>

#include "kernels/include/air_formats.h"

static inline void store_half(uint8_t* section, int64_t index, uint16_t half) {
  memcpy(section + 2 * index, &half, sizeof half);
}

// Isa has, both static:
//   uint16_t quantize(const float* x, int64_t dims, int8_t* q)     x [dims] to q [dims]; the scale as binary16
//   uint16_t quantize_group(const float* x, uint8_t* nibbles)      INT4: x [32] to q + 8 [32]; the scale as binary16
//   void convert(const float* x, int64_t dims, uint16_t* halves)   x [dims] to binary16 [dims]

// INT4, two values to a byte: x [dims] to bytes [dims / 2]. Group g's scale goes to index 16 g of `scales`.
template <typename Isa>
static void quantize_int4(const float* x, int64_t dims, uint8_t* bytes, uint8_t* scales) {
  for (int64_t g = 0; g < dims / AIR_GROUP; ++g) {
    uint8_t nibbles[AIR_GROUP];
    store_half(scales, g * AIR_STRIPE, Isa::quantize_group(x + g * AIR_GROUP, nibbles));
    uint8_t* pairs = bytes + g * AIR_GROUP / 2;
    for (int b = 0; b < AIR_GROUP / 2; ++b)
      pairs[b] = static_cast<uint8_t>(nibbles[b] | nibbles[AIR_GROUP / 2 + b] << 4);
  }
}

// key, value: [D]
template <typename Isa>
static void write_token(const AirKvLayout* layout, uint8_t* member, int64_t offset, const float* key,
                        const float* value) {
  const int64_t dims = layout->head_dim;
  const int64_t lane = offset % AIR_STRIPE;
  const int64_t stripe_start = (offset - lane) * dims;                              // in elements
  const int64_t stripe_scales = 2 * ((offset - lane) * (dims / AIR_GROUP) + lane);  // INT4, in bytes
  int8_t q[AIR_MAX_HEAD_DIM];
  uint8_t bytes[AIR_MAX_HEAD_DIM / 2];
  uint16_t halves[AIR_MAX_HEAD_DIM];

  if (layout->key_type == AIR_KV_INT8) {
    store_half(member + layout->key_scales_offset, offset, Isa::quantize(key, dims, q));
    uint8_t* quads = member + stripe_start + lane * 4;
    for (int64_t d = 0; d < dims; d += 4) memcpy(quads + d * AIR_STRIPE, q + d, 4);
  } else if (layout->key_type == AIR_KV_INT4) {
    quantize_int4<Isa>(key, dims, bytes, member + layout->key_scales_offset + stripe_scales);
    uint8_t* quads = member + stripe_start / 2 + lane * 4;
    for (int64_t i = 0; i < dims / 2; i += 4) memcpy(quads + i * AIR_STRIPE, bytes + i, 4);
  } else {
    Isa::convert(key, dims, halves);
    for (int64_t d = 0; d < dims; ++d) store_half(member, stripe_start + d * AIR_STRIPE + lane, halves[d]);
  }

  uint8_t* values = member + layout->values_offset;
  if (layout->value_type == AIR_KV_INT8) {
    store_half(member + layout->value_scales_offset, offset, Isa::quantize(value, dims, q));
    memcpy(values + offset * dims, q, static_cast<size_t>(dims));
  } else if (layout->value_type == AIR_KV_INT4) {
    quantize_int4<Isa>(value, dims, bytes, member + layout->value_scales_offset + stripe_scales);
    memcpy(values + offset * dims / 2, bytes, static_cast<size_t>(dims / 2));
  } else {
    Isa::convert(value, dims, halves);
    memcpy(values + 2 * offset * dims, halves, 2 * static_cast<size_t>(dims));
  }
}

#endif  // AIR_KERNELS_SHARED_KV_PAGE_H_
